//! Random filters over values that occur: within the grants, without, and in one world alone.

use payouts_model::{Catalog, FieldType, ReportName};

use super::world::{Draw, Plan};

/// A field's name, kind and values that occur.
type Drawn = (String, FieldType, Vec<String>);

/// What filters are drawn from.
pub struct Filters {
    /// By report.
    fields: Vec<(&'static str, Vec<Drawn>)>,
    participants: Vec<String>,
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

impl Filters {
    pub fn new(plan: &Plan) -> Self {
        let catalog = Catalog::builtin();
        let mut participants: Vec<String> = Vec::new();
        let fields = plan.tables.iter().map(|table| {
            let report = catalog.report(table.report.parse::<ReportName>().expect("a report"));
            let of = |(at, name): (usize, &String)| {
                let field = report.field(name).expect("a column of the report");
                let mut values: Vec<String> =
                    table.rows.iter().map(|row| row[at].to_owned()).filter(|v| !v.is_empty()).collect();
                values.sort();
                values.dedup();
                (name.clone(), field.kind, values)
            };
            let all: Vec<_> = table.header.iter().enumerate().map(of).filter(|(_, _, v)| !v.is_empty()).collect();
            participants.extend(table.rows.iter().map(|row| row[table.participant].to_owned()));
            (table.report, all)
        });
        let fields = fields.collect();
        participants.sort();
        participants.dedup();
        participants.push("987654321987".to_owned());
        Self { fields, participants }
    }

    /// The id of somebody, who may be granted, may not be, and may not exist.
    pub fn participant(&self, draw: &mut Draw) -> String {
        self.participants[draw.below(self.participants.len())].clone()
    }

    /// A filter; one in eight is broken.
    pub fn draw(&self, draw: &mut Draw, report: &str) -> String {
        let text = self.tree(draw, report, 2);
        if draw.one_in(8) {
            let cut = (0..=draw.below(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            return format!("{}{}", &text[..cut], if draw.one_in(2) { " and nonsense eq 1" } else { "" });
        }
        text
    }

    fn tree(&self, draw: &mut Draw, report: &str, depth: usize) -> String {
        if depth == 0 || draw.one_in(3) {
            return self.leaf(draw, report);
        }
        let left = self.tree(draw, report, depth - 1);
        match draw.below(3) {
            0 => format!("not ({left})"),
            1 => format!("({left}) and ({})", self.tree(draw, report, depth - 1)),
            _ => format!("({left}) or ({})", self.tree(draw, report, depth - 1)),
        }
    }

    fn leaf(&self, draw: &mut Draw, report: &str) -> String {
        let (_, fields) = self.fields.iter().find(|(name, _)| *name == report).expect("both reports");
        let (name, kind, values) = &fields[draw.below(fields.len())];
        let value = values[draw.below(values.len())].clone();
        let op = ["eq", "ne", "gt", "ge", "lt", "le"][draw.below(6)];
        let alike = ["eq", "ne"][draw.below(2)];
        match kind {
            _ if draw.one_in(10) => "true".to_owned(),
            _ if draw.one_in(10) => format!("{name} {alike} null"),
            FieldType::Amount | FieldType::Number | FieldType::Integer if draw.one_in(3) => {
                format!("{name} mul 2 sub 1 {op} {value}")
            }
            FieldType::Amount | FieldType::Number | FieldType::Integer => format!("{name} {op} {value}"),
            FieldType::Date | FieldType::Timestamp => format!("{name} {op} {value}"),
            FieldType::Boolean => format!("{name} {alike} {value}"),
            FieldType::Id if draw.one_in(2) => {
                let count = 1 + draw.below(12);
                let ids: Vec<String> = (0..count).map(|_| quoted(&values[draw.below(values.len())])).collect();
                format!("{name} in ({})", ids.join(","))
            }
            FieldType::Text if draw.one_in(2) => {
                let piece: String = value.chars().skip(draw.below(3)).take(3).collect();
                format!("contains({name}, {})", quoted(&piece))
            }
            _ => format!("{name} {alike} {}", quoted(&value)),
        }
    }
}
