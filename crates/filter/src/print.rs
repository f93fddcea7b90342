//! The normal form: text that reads back as an equal predicate under any context.
//!
//! Parentheses stand only where they are needed (and around what `not` refers to), names are the
//! columns' own. A chain of operators is printed in a loop, so that its length costs no stack.

use std::fmt::Write;

use payouts_model::Report;

use crate::ast::{Collation, CompareOp, Expr, Value};
use crate::dates;
use crate::syntax::{
    Called, arithmetic_name, arithmetic_precedence, compare_name, compare_precedence, name_of, precedence,
};

/// `expr` in normal form.
pub(crate) fn print(expr: &Expr, report: &Report) -> String {
    let mut printer = Printer { text: String::new(), report };
    printer.expr(expr);
    printer.text
}

struct Printer<'r> {
    text: String,
    report: &'r Report,
}

impl Printer<'_> {
    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Literal(value) => self.value(value),
            Expr::Field(field) => self.text.push_str(&self.report.fields[*field].name),
            Expr::Compare { .. } | Expr::Arithmetic { .. } => self.binary(expr),
            Expr::In { operand, collation, list } => self.membership(operand, *collation, list),
            Expr::And(parts) => self.chain(parts, " and ", precedence::AND),
            Expr::Or(parts) => self.chain(parts, " or ", precedence::OR),
            Expr::Not(inner) => {
                self.text.push_str("not ");
                // What needs none gets parentheses, too, where it is more than a word.
                let plain = matches!(**inner, Expr::Not(_) | Expr::Field(_) | Expr::Literal(_) | Expr::Call { .. });
                self.parenthesised(inner, !plain);
            }
            Expr::Negate(inner) => {
                self.text.push('-');
                self.at_least(inner, precedence::PREFIX);
            }
            Expr::Call { function, args } => {
                self.text.push_str(name_of(Called::Function(*function)));
                self.text.push('(');
                for (i, arg) in args.iter().enumerate() {
                    if i > 0 {
                        self.text.push_str(", ");
                    }
                    self.expr(arg);
                }
                self.text.push(')');
            }
        }
    }

    fn parenthesised(&mut self, expr: &Expr, parentheses: bool) {
        if parentheses {
            self.text.push('(');
        }
        self.expr(expr);
        if parentheses {
            self.text.push(')');
        }
    }

    /// `expr` where an operand must bind at least as tightly as `binding`.
    fn at_least(&mut self, expr: &Expr, binding: u8) {
        self.parenthesised(expr, binding_of(expr) < binding);
    }

    fn chain(&mut self, parts: &[Expr], joint: &str, binding: u8) {
        for (i, part) in parts.iter().enumerate() {
            if i > 0 {
                self.text.push_str(joint);
            }
            self.at_least(part, binding + 1);
        }
    }

    /// A chain of operators that lean to the left, from its first operand on.
    fn binary(&mut self, expr: &Expr) {
        let mut steps = Vec::new();
        let mut first = expr;
        let mut binding = 0;
        while let Some((name, of, left, right, bare)) = parts(first) {
            if of < binding {
                break;
            }
            binding = of;
            steps.push((name, of, right, bare));
            first = left;
        }
        let bare = steps.last().is_some_and(|s| s.3);
        self.operand(first, binding, bare);
        while let Some((name, of, right, bare)) = steps.pop() {
            let _ = write!(self.text, " {name} ");
            self.operand(right, of + 1, bare);
        }
    }

    /// An operand; `bare` prints a GUID without quotes, so that it reads back as a GUID where both
    /// sides are literals.
    fn operand(&mut self, expr: &Expr, binding: u8, bare: bool) {
        match expr {
            Expr::Literal(Value::Text(guid)) if bare => self.text.push_str(guid),
            _ => self.at_least(expr, binding),
        }
    }

    fn membership(&mut self, operand: &Expr, collation: Collation, list: &[Value]) {
        let bare = collation == Collation::IgnoreCase && matches!(operand, Expr::Literal(_));
        // A minus binds less tightly than in.
        let minus = matches!(operand, Expr::Literal(Value::Number(n)) if n.is_negative())
            || matches!(operand, Expr::Literal(Value::Infinity(false)));
        if minus {
            self.parenthesised(operand, true);
        } else {
            self.operand(operand, precedence::PRIMARY, bare);
        }
        self.text.push_str(" in (");
        for (i, value) in list.iter().enumerate() {
            if i > 0 {
                self.text.push_str(", ");
            }
            self.value(value);
        }
        self.text.push(')');
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.text.push_str("null"),
            Value::Boolean(value) => self.text.push_str(if *value { "true" } else { "false" }),
            Value::Number(number) => {
                let _ = write!(self.text, "{number}");
            }
            Value::Infinity(positive) => self.text.push_str(if *positive { "INF" } else { "-INF" }),
            Value::NaN => self.text.push_str("NaN"),
            Value::Text(text) => self.quoted(text),
            Value::Date(days) => self.text.push_str(&dates::print_date(*days)),
            Value::Instant(micros) => self.text.push_str(&dates::print_instant(*micros)),
            Value::TimeOfDay(micros) => self.text.push_str(&dates::print_time(*micros)),
            Value::Duration(micros) => {
                let _ = write!(self.text, "duration'{}'", dates::print_duration(*micros));
            }
        }
    }

    fn quoted(&mut self, text: &str) {
        self.text.push('\'');
        for (i, part) in text.split('\'').enumerate() {
            if i > 0 {
                self.text.push_str("''");
            }
            self.text.push_str(part);
        }
        self.text.push('\'');
    }
}

type Parts<'e> = (&'static str, u8, &'e Expr, &'e Expr, bool);

/// The operator between two operands, how it binds, and whether both are literals of GUIDs.
fn parts(expr: &Expr) -> Option<Parts<'_>> {
    match expr {
        Expr::Compare { op, collation, left, right } => {
            let bare = *collation == Collation::IgnoreCase && matches!(**left, Expr::Literal(_));
            Some((compare_name(*op), compare_precedence(*op), left, right, bare))
        }
        Expr::Arithmetic { op, left, right } => {
            Some((arithmetic_name(*op), arithmetic_precedence(*op), left, right, false))
        }
        _ => None,
    }
}

fn binding_of(expr: &Expr) -> u8 {
    match expr {
        Expr::Or(_) => precedence::OR,
        Expr::And(_) => precedence::AND,
        Expr::Compare { op: CompareOp::Eq | CompareOp::Ne, .. } => precedence::EQUALITY,
        Expr::Compare { .. } => precedence::ORDER,
        Expr::Arithmetic { op, .. } => arithmetic_precedence(*op),
        Expr::Not(_) | Expr::Negate(_) => precedence::PREFIX,
        Expr::In { .. } => precedence::IN,
        Expr::Literal(_) | Expr::Field(_) | Expr::Call { .. } => precedence::PRIMARY,
    }
}
