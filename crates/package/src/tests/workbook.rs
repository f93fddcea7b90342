//! Workbooks: their parts, and where sheets are cut.

use super::*;

const ROW: &str = "<row><c s=\"1\" t=\"inlineStr\"><is><t>00042</t></is></c><c/></row>";

fn sheet_rows(count: u64) -> Chunk {
    chunk(count, ROW.repeat(count as usize).as_bytes())
}

/// The parts by name, in order, checked against what the packager says of them.
fn parts(packaged: &Packaged, bytes: &[u8]) -> Vec<(String, String)> {
    let mut archive = ::zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    assert_eq!(archive.len(), packaged.entries.len());
    (0..archive.len())
        .map(|i| {
            let mut file = archive.by_index(i).unwrap();
            assert_eq!(file.last_modified(), Some(::zip::DateTime::default()));
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            let entry = &packaged.entries[i];
            assert_eq!((&*file.name().unwrap(), file.size()), (entry.name.as_str(), entry.bytes));
            assert_eq!(sha256(text.as_bytes()), entry.sha256);
            assert_eq!(text.matches(ROW).count() as u64, entry.rows);
            (entry.name.clone(), text)
        })
        .collect()
}

fn part<'a>(parts: &'a [(String, String)], name: &str) -> &'a str {
    &parts.iter().find(|(own, _)| own == name).unwrap().1
}

#[test]
fn a_workbook_has_its_parts() {
    let (packaged, bytes) = pack(FileFormat::XLSX, WIDE, Some(5), &[sheet_rows(3), sheet_rows(2)]);
    let parts = parts(&packaged, &bytes);
    let names: Vec<&str> = parts.iter().map(|(name, _)| name.as_str()).collect();
    // Programs tell what kind of file it is by the first three.
    assert_eq!(
        names,
        [
            "_rels/.rels",
            "xl/styles.xml",
            "xl/worksheets/sheet1.xml",
            "xl/workbook.xml",
            "xl/_rels/workbook.xml.rels",
            "[Content_Types].xml"
        ]
    );
    let sheet = part(&parts, "xl/worksheets/sheet1.xml");
    assert!(sheet.contains("state=\"frozen\"") && sheet.contains("ySplit=\"1\""), "{sheet}");
    assert!(sheet.contains("<row><c s=\"7\" t=\"inlineStr\"><is><t>id</t></is></c>"), "{sheet}");
    assert!(sheet.contains("<autoFilter ref=\"A1:B6\"/>"), "{sheet}");
    assert_eq!(sheet.matches("<row>").count(), 6);
    let workbook = part(&parts, "xl/workbook.xml");
    assert!(workbook.contains("<sheet name=\"payments\" sheetId=\"1\" r:id=\"rId1\"/>"), "{workbook}");
    assert!(workbook.contains("'payments'!$A$1:$B$6"), "{workbook}");
    assert_eq!(pack(FileFormat::XLSX, WIDE, Some(5), &[sheet_rows(3), sheet_rows(2)]), (packaged, bytes));
}

#[test]
fn without_rows_there_is_one_sheet_with_the_header() {
    let (packaged, bytes) = pack(FileFormat::XLSX, WIDE, Some(0), &[]);
    let parts = parts(&packaged, &bytes);
    let sheet = part(&parts, "xl/worksheets/sheet1.xml");
    assert_eq!(sheet.matches("<row>").count(), 1);
    assert!(sheet.contains("<autoFilter ref=\"A1:B1\"/>"), "{sheet}");
}

#[test]
fn sheets_are_cut_at_the_limit_and_all_have_the_header() {
    let limits = EntryLimits { rows: 10, ..WIDE };
    let chunks: Vec<Chunk> = (0..5).map(|_| sheet_rows(5)).collect();
    let (packaged, bytes) = pack(FileFormat::XLSX, limits, Some(25), &chunks);
    let parts = parts(&packaged, &bytes);
    let rows: Vec<(&str, u64)> =
        packaged.entries.iter().filter(|e| e.rows > 0).map(|e| (e.name.as_str(), e.rows)).collect();
    assert_eq!(
        rows,
        [("xl/worksheets/sheet1.xml", 10), ("xl/worksheets/sheet2.xml", 10), ("xl/worksheets/sheet3.xml", 5)]
    );
    let workbook = part(&parts, "xl/workbook.xml");
    for (index, rows) in [(1, 11), (2, 11), (3, 6)] {
        let sheet = part(&parts, &format!("xl/worksheets/sheet{index}.xml"));
        assert!(sheet.contains("<is><t>name</t></is>") && sheet.contains(&format!("\"A1:B{rows}\"")), "{sheet}");
        assert_eq!(sheet.contains("tabSelected"), index == 1);
        assert!(workbook.contains(&format!("'payments-00{index}'!$A$1:$B${rows}")), "{workbook}");
        assert!(part(&parts, "[Content_Types].xml").contains(&format!("/xl/worksheets/sheet{index}.xml")));
        assert!(part(&parts, "xl/_rels/workbook.xml.rels").contains(&format!("worksheets/sheet{index}.xml")));
    }

    // Bytes cut a sheet too: an exact name follows from what was written, whatever was expected.
    let head = parts[2].1.find(ROW).unwrap();
    let limits = EntryLimits { bytes: (head + 2 * ROW.len()) as u64, ..WIDE };
    let (packaged, bytes) = pack(FileFormat::XLSX, limits, Some(3), &[sheet_rows(1), sheet_rows(1), sheet_rows(1)]);
    let parts = self::parts(&packaged, &bytes);
    assert!(part(&parts, "xl/workbook.xml").contains("'payments-002'!$A$1:$B$2"));
}

#[test]
fn what_did_not_fit_is_counted() {
    let chunks = [(1, 0), (2, 3)].map(|(as_text, cut)| Chunk { beyond: Beyond { as_text, cut }, ..sheet_rows(1) });
    let (packaged, _) = pack(FileFormat::XLSX, WIDE, None, &chunks);
    assert_eq!(packaged.beyond, Beyond { as_text: 3, cut: 3 });
}

#[test]
fn a_head_of_another_format_is_refused() {
    for (format, other) in [(FileFormat::XLSX, FileFormat::DEFAULT), (FileFormat::DEFAULT, FileFormat::XLSX)] {
        let error = Packager::new(format, "payments", &head(other), Vec::new()).unwrap_err();
        assert!(error.to_string().contains("another head"), "{error}");
    }
}
