//! Parquet files with columns of any types and values, whole and with bytes changed or cut off, and
//! any bytes that call themselves one: a clear error, or as many rows as the file announces.

#![no_main]

use std::sync::{Arc, LazyLock};

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Date64Array, Decimal128Array, DictionaryArray, Float64Array,
    Int32Array, Int64Array, LargeStringArray, NullArray, RecordBatch, StringArray, StringViewArray,
    TimestampMicrosecondArray, TimestampSecondArray, UInt64Array,
};
use arrow::datatypes::Int32Type;
use libfuzzer_sys::fuzz_target;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::metadata::ParquetMetaDataReader;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use payouts_fuzz::input::Input;
use payouts_fuzz::place::{Ask, Place, cell};
use payouts_ledger::import::Limits;
use payouts_model::{Field, ReportName};

static PLACE: LazyLock<Place> = LazyLock::new(Place::new);

/// A value of eight bytes, small or any.
fn integer(input: &mut Input<'_>) -> i64 {
    let high = i64::from(input.number());
    if high % 2 == 0 { high / 2 % 100_000 } else { high << 32 | i64::from(input.number()) }
}

/// Some are null.
fn some<T>(input: &mut Input<'_>, rows: usize, mut value: impl FnMut(&mut Input<'_>) -> T) -> Vec<Option<T>> {
    (0..rows).map(|_| if input.byte() % 8 == 7 { None } else { Some(value(input)) }).collect()
}

fn column(input: &mut Input<'_>, field: &Field, rows: usize) -> ArrayRef {
    let good: Vec<String> = (0..rows).map(|row| cell(field, row)).collect();
    match input.byte() % 24 {
        1 => Arc::new(LargeStringArray::from(good)),
        2 => Arc::new(StringViewArray::from(good)),
        3 => Arc::new(good.iter().map(String::as_str).collect::<DictionaryArray<Int32Type>>()),
        4 => {
            let texts = some(input, rows, |i| String::from_utf8_lossy(i.counted()).into_owned());
            Arc::new(StringArray::from(texts))
        }
        5 => Arc::new(Int64Array::from(some(input, rows, integer))),
        6 => Arc::new(Int32Array::from(some(input, rows, |i| integer(i) as i32))),
        7 => Arc::new(UInt64Array::from(some(input, rows, |i| integer(i) as u64))),
        8 => {
            let precision = input.byte() % 38 + 1;
            let scale = (input.byte() % (precision + 1)) as i8;
            let values = some(input, rows, |i| i128::from(integer(i)) * i128::from(i.byte()).pow(6));
            let limit = 10_i128.pow(u32::from(precision)) - 1;
            let values = values.into_iter().map(|v| v.map(|v| v.clamp(-limit, limit)));
            let array = values.collect::<Decimal128Array>().with_precision_and_scale(precision, scale);
            Arc::new(array.expect("within its bounds"))
        }
        9 => Arc::new(Float64Array::from(some(input, rows, |i| integer(i) as f64 / 3.0))),
        10 => Arc::new(Date32Array::from(some(input, rows, |i| integer(i) as i32))),
        11 => Arc::new(Date64Array::from(some(input, rows, integer))),
        12 => Arc::new(TimestampMicrosecondArray::from(some(input, rows, integer)).with_timezone("UTC")),
        13 => Arc::new(TimestampSecondArray::from(some(input, rows, integer)).with_timezone("+02:00")),
        14 => Arc::new(TimestampMicrosecondArray::from(some(input, rows, integer))),
        15 => Arc::new(BooleanArray::from(some(input, rows, |i| i.byte() % 2 == 0))),
        16 => Arc::new(NullArray::new(rows)),
        17 => Arc::new(BinaryArray::from_vec(good.iter().map(|text| text.as_bytes()).collect())),
        _ => Arc::new(StringArray::from(good)),
    }
}

/// A whole file and its rows.
fn file(input: &mut Input<'_>, ask: &Ask) -> (Vec<u8>, u64) {
    let (shape, rows) = (input.byte(), usize::from(input.byte() % 40));
    let columns: Vec<(&str, ArrayRef)> =
        PLACE.report(ask.report).fields.iter().map(|f| (&*f.name, column(input, f, rows))).collect();
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true)));
    let batch = batch.expect("columns of one length");
    let compression =
        *input.one_of(&[Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::ZSTD(Default::default())]);
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(shape & 1 == 0)
        .set_writer_version(if shape & 2 == 0 { WriterVersion::PARQUET_1_0 } else { WriterVersion::PARQUET_2_0 })
        .set_statistics_enabled(if shape & 4 == 0 { EnabledStatistics::None } else { EnabledStatistics::Page })
        .set_data_page_row_count_limit(if shape & 8 == 0 { 5 } else { 20_000 })
        .set_write_batch_size(if shape & 8 == 0 { 5 } else { 1024 })
        .set_max_row_group_row_count(Some(if shape & 16 == 0 { 7 } else { 1 << 20 }))
        .set_compression(compression)
        .build();
    let mut out = Vec::new();
    let mut writer =
        ArrowWriter::try_new(&mut out, batch.schema(), Some(properties)).expect("types that can be written");
    writer.write(&batch).expect("memory");
    writer.close().expect("memory");
    (out, rows as u64)
}

/// Changes some bytes; whether it did.
fn damage(input: &mut Input<'_>, file: &mut Vec<u8>) -> bool {
    let times = usize::from(input.byte() % 6);
    for _ in 0..times {
        let how = input.byte();
        let at = input.number() as usize;
        // From the front, among the pages, or from the end, where the footer is.
        let at = if how & 1 == 0 { at % file.len().max(1) } else { file.len().saturating_sub(at % 2500 + 1) };
        match how >> 1 & 7 {
            0 => file.truncate(at),
            1 => drop(file.splice(at..at, input.counted().iter().copied())),
            2 => drop(file.splice(at..(at + usize::from(input.byte() % 16)).min(file.len()), [])),
            3 => file.get_mut(at).into_iter().for_each(|b| *b ^= 1 << (how >> 5)),
            _ => {
                let bytes = input.counted();
                file.iter_mut().skip(at).zip(bytes.iter().take(8)).for_each(|(old, new)| *old = *new);
            }
        }
    }
    times > 0
}

fuzz_target!(init: { LazyLock::force(&PLACE); }, |data: &[u8]| {
    let mut input = Input(data);
    let how = input.byte();
    let mut ask = Ask {
        report: ReportName::ALL[usize::from(how & 1) % ReportName::ALL.len()],
        rejects: how & 2 == 0,
        order_type: how & 4 == 0,
        limits: Limits { parquet_rows: if how & 8 == 0 { 3 } else { 16 * 1024 }, ..Limits::default() },
    };
    let (bytes, rows) = if how & 16 == 0 {
        let (mut bytes, rows) = file(&mut input, &ask);
        let damaged = damage(&mut input, &mut bytes);
        (bytes, (!damaged).then_some(rows))
    } else {
        ([b"PAR1", input.0].concat(), None)
    };
    let done = PLACE.run(&ask, &[bytes.as_slice()]);
    match (rows, done.rows()) {
        (Some(rows), Some(counted)) => assert_eq!(counted, rows),
        (Some(_), None) => assert!(!ask.rejects, "a whole file, and a place for bad rows: {}", done.shown()),
        (None, Some(counted)) => {
            let announced = ParquetMetaDataReader::new()
                .parse_and_finish(&bytes::Bytes::from(bytes.clone()))
                .map(|m| m.file_metadata().num_rows());
            assert_eq!(announced.ok(), i64::try_from(counted).ok(), "{}", done.shown());
        }
        (None, None) => {}
    }
    ask.limits.parquet_rows = 5;
    let again = PLACE.run(&ask, &[bytes.as_slice()]);
    assert_eq!(again.rows(), done.rows(), "read in other pieces: {} {}", again.shown(), done.shown());
});
