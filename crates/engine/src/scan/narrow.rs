//! Columns that are read in less room than their type asks for: text that files hold as codes into a
//! dictionary stays codes, and decimals that files hold in 64 bits stay in 64 bits.
//!
//! Invariant: what is read means the same either way. A column is narrow only where every file that has
//! it holds it so, in all of its row groups; elsewhere it would have to be turned back and forth.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::table_schema::TableSchema;
use parquet::basic::{Encoding, Type};
use parquet::file::metadata::ColumnChunkMetaData;

use super::footers::Footer;

/// The largest dictionary of a row group, in bytes as stored, that is worth to be kept: of a larger one
/// a batch has few values more than once.
const DICTIONARY_BYTES_MAX: i64 = 64 << 10;

/// The narrow columns of a table by name, and what they are read as.
#[derive(Debug, Default)]
pub(super) struct Narrow(BTreeMap<String, DataType>);

impl Narrow {
    /// Of a table with these columns, from all files that will be read.
    pub fn of<'a>(table: &Schema, footers: impl Iterator<Item = &'a Footer>) -> Self {
        let narrow = |field: &FieldRef| match field.data_type() {
            DataType::Utf8View => Some(DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))),
            DataType::Decimal128(precision, scale) if *precision <= 18 => Some(DataType::Decimal64(*precision, *scale)),
            _ => None,
        };
        let all = table.fields().iter().filter_map(|field| Some((field.name().clone(), narrow(field)?)));
        let mut columns = Self(all.collect());
        for footer in footers {
            columns.0.retain(|name, _| held_so(footer, table, name));
        }
        columns
    }

    /// Without these.
    pub fn without(&self, others: &BTreeSet<String>) -> Self {
        Self(self.0.iter().filter(|(name, _)| !others.contains(*name)).map(|(n, t)| (n.clone(), t.clone())).collect())
    }

    /// The table's columns, as they are read.
    pub fn table(&self, table: &TableSchema) -> TableSchema {
        TableSchema::builder(self.schema(table.file_schema()))
            .with_table_partition_cols(table.table_partition_cols().clone())
            .build()
    }

    /// A file whose columns are `schema`, as it is read.
    pub fn file(&self, file: PartitionedFile, schema: &SchemaRef) -> PartitionedFile {
        if self.0.is_empty() { file } else { file.with_arrow_schema(self.schema(schema)) }
    }

    fn schema(&self, schema: &SchemaRef) -> SchemaRef {
        let narrow = |field: &FieldRef| match self.0.get(field.name()) {
            Some(narrow) => Arc::new(Field::clone(field).with_data_type(narrow.clone())),
            None => field.clone(),
        };
        let fields: Vec<FieldRef> = schema.fields().iter().map(narrow).collect();
        Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
    }
}

/// Whether a file holds a column of the table narrowly, or not at all.
fn held_so(footer: &Footer, table: &Schema, name: &str) -> bool {
    let (Ok(wanted), Ok(field)) = (table.field_with_name(name), footer.schema.field_with_name(name)) else {
        return true;
    };
    let groups = footer.metadata.row_groups();
    let columns = footer.metadata.file_metadata().schema_descr().columns();
    let Some(at) = columns.iter().position(|column| column.path().parts() == [name]) else { return false };
    match (wanted.data_type(), field.data_type()) {
        (DataType::Utf8View, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) => {
            groups.iter().all(|group| few_codes(group.column(at)))
        }
        (wanted @ DataType::Decimal128(..), found) => {
            wanted == found && matches!(columns[at].physical_type(), Type::INT32 | Type::INT64)
        }
        _ => false,
    }
}

/// Whether all values of a row group are codes into one small dictionary.
fn few_codes(chunk: &ColumnChunkMetaData) -> bool {
    let Some(dictionary) = chunk.dictionary_page_offset() else { return false };
    let only = |mask: &parquet::basic::EncodingMask| {
        mask.is_only(Encoding::RLE_DICTIONARY) || mask.is_only(Encoding::PLAIN_DICTIONARY)
    };
    chunk.page_encoding_stats_mask().is_some_and(only)
        && (0..=DICTIONARY_BYTES_MAX).contains(&(chunk.data_page_offset() - dictionary))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use parquet::file::properties::WriterProperties;
    use payouts_ledger::Snapshot;
    use payouts_model::Scope;

    use super::super::footers::Footers;
    use super::super::pieces::locate;
    use super::*;
    use crate::tests::fixture::{Table, collect, engine, plan, records, table};

    fn narrow(table: &Table) -> Vec<String> {
        let footers = Footers::new(1 << 20);
        let of = |file: &payouts_ledger::DataFile| {
            footers.get(table.snapshot.report.name, &locate(&file.path).unwrap()).unwrap()
        };
        let footers: Vec<_> = table.snapshot.files.iter().map(of).collect();
        let view = |field: &FieldRef| match field.data_type() {
            DataType::Utf8 => Arc::new(Field::clone(field).with_data_type(DataType::Utf8View)),
            _ => field.clone(),
        };
        let schema = Schema::new(table.snapshot.schema.fields().iter().map(view).collect::<Vec<_>>());
        Narrow::of(&schema, footers.iter().map(Arc::as_ref)).0.into_keys().collect()
    }

    /// Writes a file of the table again: without dictionaries, and without a column.
    fn rewrite(table: &mut Table, file: usize, without: &str) {
        let path = table.snapshot.files[file].path.clone();
        let batches = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap().build().unwrap();
        let batches: Vec<_> = batches.map(Result::unwrap).collect();
        let schema = batches[0].schema();
        let kept: Vec<usize> = (0..schema.fields().len()).filter(|&i| schema.field(i).name() != without).collect();
        let properties = WriterProperties::builder().set_dictionary_enabled(false).build();
        let projected = Arc::new(schema.project(&kept).unwrap());
        let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), projected, Some(properties)).unwrap();
        batches.iter().for_each(|batch| writer.write(&batch.project(&kept).unwrap()).unwrap());
        writer.close().unwrap();
        let mut files = table.snapshot.files.clone();
        files[file].size_bytes = std::fs::metadata(&path).unwrap().len();
        table.snapshot = Arc::new(Snapshot { files, ..(*table.snapshot).clone() });
    }

    #[tokio::test]
    async fn what_is_read_narrowly_says_the_same() {
        let mut table = table(900, 300, 100);
        let all = narrow(&table);
        for name in ["participantID", "paymentStatusDescription", "earned", "serviceFeeTax"] {
            assert!(all.iter().any(|n| n == name), "{name} of {all:?}");
        }
        assert!(!all.iter().any(|n| n == "paymentDate"));
        let export = plan(&table.snapshot, None, Scope::everything());
        let before = records(&collect(&engine(2), &export).await.unwrap());

        // A column that is nowhere but in files that hold it narrowly stays narrow.
        rewrite(&mut table, 1, "paymentMethod");
        let decimals = narrow(&table);
        assert!(decimals.iter().any(|n| n == "earned") && decimals.iter().any(|n| n == "paymentMethod"));
        assert!(!decimals.iter().any(|n| n == "participantID"), "{decimals:?}");
        let export = plan(&table.snapshot, None, Scope::everything());
        let mut expected = before;
        let method = table.snapshot.report.index_of("paymentMethod").unwrap();
        expected[300..600].iter_mut().for_each(|row| row[method].clear());
        assert_eq!(records(&collect(&engine(2), &export).await.unwrap()), expected);
    }
}
