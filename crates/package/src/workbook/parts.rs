//! The parts of a workbook that are not rows, as text.

use std::fmt::Write;

use payouts_model::FieldType;
use payouts_model::sheet::{SheetColumn, Style, column_letters, escape};

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n";
const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
const RELATION: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
const PACKAGE: &str = "http://schemas.openxmlformats.org/package/2006";
const TYPE: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml";

/// From the package to the workbook.
pub(super) const RELATIONS: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n\
    <Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">\
    <Relationship Id=\"rId1\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument\" \
    Target=\"xl/workbook.xml\"/></Relationships>";

/// The path of a sheet, counted from 1.
pub(super) fn sheet_path(number: usize) -> String {
    format!("xl/worksheets/sheet{number}.xml")
}

/// The formats that are not built in, and their ids.
const FORMATS: [(u32, &str); 3] =
    [(164, "#,##0.00##"), (165, "yyyy-mm-dd"), (166, "yyyy-mm-dd hh:mm:ss.000&quot; UTC&quot;")];

/// The id of a style's number format, its font, and whether it stands on the right.
fn look(style: Style) -> (u32, u32, bool) {
    match style {
        Style::General => (0, 0, false),
        Style::Text => (49, 0, false),
        Style::Amount => (164, 0, false),
        Style::Integer => (1, 0, false),
        Style::Date => (165, 0, false),
        Style::Instant => (166, 0, false),
        Style::ExactText => (49, 0, true),
        Style::Header => (49, 1, false),
    }
}

/// The styles, in the order of their indexes.
pub(super) fn styles() -> String {
    let mut out = format!("{DECLARATION}<styleSheet xmlns=\"{MAIN}\"><numFmts count=\"{}\">", FORMATS.len());
    for (id, code) in FORMATS {
        put(&mut out, format_args!("<numFmt numFmtId=\"{id}\" formatCode=\"{code}\"/>"));
    }
    let font = "<sz val=\"11\"/><name val=\"Calibri\"/><family val=\"2\"/>";
    put(
        &mut out,
        format_args!(
            "</numFmts><fonts count=\"2\"><font>{font}</font><font><b/>{font}</font></fonts>\
             <fills count=\"2\"><fill><patternFill patternType=\"none\"/></fill>\
             <fill><patternFill patternType=\"gray125\"/></fill></fills>\
             <borders count=\"1\"><border><left/><right/><top/><bottom/><diagonal/></border></borders>\
             <cellStyleXfs count=\"1\"><xf numFmtId=\"0\" fontId=\"0\" fillId=\"0\" borderId=\"0\"/></cellStyleXfs>\
             <cellXfs count=\"{}\">",
            Style::ALL.len()
        ),
    );
    for style in Style::ALL {
        let (format, font, right) = look(style);
        put(
            &mut out,
            format_args!(
                "<xf numFmtId=\"{format}\" fontId=\"{font}\" fillId=\"0\" borderId=\"0\" xfId=\"0\"\
                 {}{}",
                if format > 0 { " applyNumberFormat=\"1\"" } else { "" },
                if font > 0 { " applyFont=\"1\"" } else { "" }
            ),
        );
        out.push_str(if right { " applyAlignment=\"1\"><alignment horizontal=\"right\"/></xf>" } else { "/>" });
    }
    out.push_str(
        "</cellXfs><cellStyles count=\"1\"><cellStyle name=\"Normal\" xfId=\"0\" builtinId=\"0\"/></cellStyles>\
         </styleSheet>",
    );
    out
}

/// What stands before the first data row: the frozen header row, the widths, the header.
pub(super) fn sheet_head(columns: &[SheetColumn], first: bool) -> Vec<u8> {
    let selected = if first { " tabSelected=\"1\"" } else { "" };
    let mut out = format!(
        "{DECLARATION}<worksheet xmlns=\"{MAIN}\"><sheetViews><sheetView{selected} workbookViewId=\"0\">\
         <pane ySplit=\"1\" topLeftCell=\"A2\" activePane=\"bottomLeft\" state=\"frozen\"/>\
         <selection pane=\"bottomLeft\" activeCell=\"A2\" sqref=\"A2\"/></sheetView></sheetViews>\
         <sheetFormatPr defaultRowHeight=\"15\"/><cols>"
    );
    for (number, column) in (1..).zip(columns) {
        let (number, width): (usize, _) = (number, width(column));
        put(&mut out, format_args!("<col min=\"{number}\" max=\"{number}\" width=\"{width}\" customWidth=\"1\"/>"));
    }
    out.push_str("</cols><sheetData><row>");
    let mut out = out.into_bytes();
    for column in columns {
        out.extend_from_slice(format!("<c s=\"{}\" t=\"inlineStr\"><is><t>", Style::Header as u8).as_bytes());
        escape(&mut out, &column.name);
        out.extend_from_slice(b"</t></is></c>");
    }
    out.extend_from_slice(b"</row>");
    out
}

/// Characters that a column is wide: its usual values, or its header with the filter's button.
fn width(column: &SheetColumn) -> usize {
    let values = match column.kind {
        FieldType::Boolean => 8,
        FieldType::Integer | FieldType::Number | FieldType::Date => 12,
        FieldType::Amount => 16,
        FieldType::Id => 18,
        FieldType::Enum => 22,
        FieldType::Text => 24,
        FieldType::Timestamp => 30,
        FieldType::Guid => 38,
    };
    values.max(column.name.chars().count() + 4).min(60)
}

/// What stands behind the last data row: the filter over all rows, and word to the spreadsheet that
/// ids are meant to be text.
pub(super) fn sheet_foot(columns: usize, rows: u64) -> String {
    let all = area(columns, rows);
    format!(
        "</sheetData><autoFilter ref=\"{all}\"/>\
         <ignoredErrors><ignoredError sqref=\"{all}\" numberStoredAsText=\"1\"/></ignoredErrors></worksheet>"
    )
}

/// Header and rows.
fn area(columns: usize, rows: u64) -> String {
    format!("A1:{}{}", column_letters(columns.saturating_sub(1)), rows + 1)
}

/// The workbook: its sheets by name, and the ranges that their filters cover.
pub(super) fn workbook(sheets: &[(String, u64)], columns: usize) -> String {
    let mut out = format!(
        "{DECLARATION}<workbook xmlns=\"{MAIN}\" xmlns:r=\"{RELATION}\">\
         <bookViews><workbookView xWindow=\"0\" yWindow=\"0\" windowWidth=\"24000\" windowHeight=\"12000\"/></bookViews><sheets>"
    );
    for (number, (name, _)) in (1..).zip(sheets) {
        let number: u64 = number;
        put(&mut out, format_args!("<sheet name=\"{name}\" sheetId=\"{number}\" r:id=\"rId{number}\"/>"));
    }
    out.push_str("</sheets><definedNames>");
    for (index, (name, rows)) in sheets.iter().enumerate() {
        let last = column_letters(columns.saturating_sub(1));
        put(
            &mut out,
            format_args!(
                "<definedName name=\"_xlnm._FilterDatabase\" localSheetId=\"{index}\" hidden=\"1\">\
                 '{name}'!$A$1:${last}${}</definedName>",
                rows + 1
            ),
        );
    }
    out.push_str("</definedNames></workbook>");
    out
}

/// From the workbook to its sheets and styles.
pub(super) fn workbook_relations(sheets: usize) -> String {
    let mut out = format!("{DECLARATION}<Relationships xmlns=\"{PACKAGE}/relationships\">");
    let mut relation = |number: usize, kind: &str, target: &str| {
        put(
            &mut out,
            format_args!("<Relationship Id=\"rId{number}\" Type=\"{RELATION}/{kind}\" Target=\"{target}\"/>"),
        );
    };
    for number in 1..=sheets {
        relation(number, "worksheet", &format!("worksheets/sheet{number}.xml"));
    }
    relation(sheets + 1, "styles", "styles.xml");
    out.push_str("</Relationships>");
    out
}

/// What each part is.
pub(super) fn content_types(sheets: usize) -> String {
    let mut out = format!(
        "{DECLARATION}<Types xmlns=\"{PACKAGE}/content-types\">\
         <Default Extension=\"rels\" ContentType=\"application/vnd.openxmlformats-package.relationships+xml\"/>\
         <Default Extension=\"xml\" ContentType=\"application/xml\"/>"
    );
    let mut part = |path: &str, kind: &str| {
        put(&mut out, format_args!("<Override PartName=\"/{path}\" ContentType=\"{TYPE}.{kind}+xml\"/>"));
    };
    part("xl/workbook.xml", "sheet.main");
    part("xl/styles.xml", "styles");
    for number in 1..=sheets {
        part(&sheet_path(number), "worksheet");
    }
    out.push_str("</Types>");
    out
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = out.write_fmt(text);
}
