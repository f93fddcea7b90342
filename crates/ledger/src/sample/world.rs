//! Who there is in the sample: participants, programmes, currencies, countries.
//!
//! Invariant: every list of texts that is part of the ledger's key is sorted by bytes, so that
//! rows can be ordered by index.

use payouts_model::id::canonical;

use super::random::Random;
use super::{Made, Options};

/// A currency: its code, its rate to US dollars in hundred-millionths, its smallest unit in
/// ten-thousandths.
pub(super) struct Currency {
    pub code: &'static str,
    pub usd_rate: i64,
    pub unit: i64,
}

const fn currency(code: &'static str, usd_rate: i64, unit: i64) -> Currency {
    Currency { code, usd_rate, unit }
}

/// Currencies by code.
pub(super) const CURRENCIES: [Currency; 24] = [
    currency("AED", 27_229_408, 100),
    currency("AUD", 66_120_000, 100),
    currency("BRL", 18_350_000, 100),
    currency("CAD", 73_410_000, 100),
    currency("CHF", 113_870_000, 100),
    currency("CNY", 13_912_000, 100),
    currency("CZK", 4_405_000, 100),
    currency("DKK", 14_612_000, 100),
    currency("EUR", 109_050_000, 100),
    currency("GBP", 127_640_000, 100),
    currency("HUF", 277_300, 10_000),
    currency("ILS", 27_410_000, 100),
    currency("INR", 1_193_000, 100),
    currency("JPY", 668_900, 10_000),
    currency("KRW", 72_850, 10_000),
    currency("MXN", 5_420_000, 100),
    currency("NOK", 9_385_000, 100),
    currency("NZD", 60_930_000, 100),
    currency("PLN", 25_310_000, 100),
    currency("SEK", 9_548_000, 100),
    currency("SGD", 74_620_000, 100),
    currency("UAH", 2_431_000, 100),
    currency("USD", 100_000_000, 100),
    currency("ZAR", 5_488_000, 100),
];

/// A programme, and whether it is a store's (service fee tax, SELL) or an incentive.
pub(super) struct Program {
    pub name: &'static str,
    pub code: &'static str,
    pub store: bool,
}

const fn incentive(name: &'static str, code: &'static str) -> Program {
    Program { name, code, store: false }
}
const fn store(name: &'static str, code: &'static str) -> Program {
    Program { name, code, store: true }
}

/// Programmes by name.
pub(super) const PROGRAMS: [Program; 17] = [
    store("Azure Marketplace", "AMP"),
    incentive("Azure Migrate and Modernize", "AMM"),
    incentive("CSP Direct Bill Partner", "CSPD"),
    incentive("CSP Hoster, Services & \"Reach\"", "CSPH"),
    incentive("CSP Indirect Provider", "CSPP"),
    incentive("CSP Indirect Reseller", "CSPR"),
    incentive("Co-op Marketing Funds", "COOP"),
    incentive("Device Partner Incentive", "DPI"),
    incentive("Dynamics 365 Sales, Usage and Adoption", "D365"),
    incentive("Enterprise Agreement Direct Advisor", "EADA"),
    store("Microsoft Advertising Publisher", "ADS"),
    store("Microsoft AppSource", "APPS"),
    incentive("Microsoft Commerce Incentives", "MCI"),
    store("Microsoft Store", "STORE"),
    incentive("Online Services Usage", "OSU"),
    incentive("Surface Reseller Alliance", "SURF"),
    store("Xbox Game Studio Partners", "XBOX"),
];

/// The programmes of the largest participant: both kinds, and those of the documented examples.
const LARGEST: [u8; 4] = [0, 2, 4, 6];

/// Order types in byte order.
pub(super) const ORDER_TYPES: [&str; 4] = ["COOP", "FEE", "REBATE", "SELL"];
/// Payment methods in byte order.
pub(super) const METHODS: [&str; 4] = ["CreditNote", "ElectronicBankTransfer", "PayPal", "Wire"];

/// A country: where a participant is, and what taxes that brings.
pub(super) struct Country {
    pub code: &'static str,
    pub currency: &'static str,
    pub withheld_per_mille: i64,
    pub vat_per_mille: i64,
    /// Whether payments need a proof of tax, and so have an invoice reference.
    pub invoice: bool,
    names: &'static [&'static str],
    forms: &'static [&'static str],
}

const LATIN: &[&str] = &[
    "Fabrikam",
    "Contoso",
    "Northwind Traders",
    "Adventure Works",
    "\"Blue Sky\" Cloud",
    "Tailspin Toys",
    "Litware",
    "Wide World Importers",
    "Lamna & Sons",
    "Pixel 🚀 Studio",
    "Proseware",
];
const GERMAN: &[&str] = &[
    "Müller & Söhne",
    "Grünwald Systemhaus",
    "Brücke \"Nord\" IT",
    "Weißenfels Software",
    "Köln Cloud-Dienste",
    "Alpenblick Lösungen",
];
const ROMANCE: &[&str] = &[
    "Société Générale du Nuage",
    "Construções São João",
    "Añoranza Sistemas",
    "Crème Brûlée Logiciels",
    "L'Étoile Numérique",
    "Montaña Azul",
];
const NORDIC: &[&str] = &[
    "Ærø Data",
    "Björk & Åström",
    "Fjällräven Moln",
    "Øst Konsulent",
    "Łódź Technologie",
    "Žižkov Software",
    "Őrség Informatika",
];

const fn country(
    code: &'static str,
    currency: &'static str,
    withheld: i64,
    vat: i64,
    invoice: bool,
    names: &'static [&'static str],
    forms: &'static [&'static str],
) -> Country {
    Country { code, currency, withheld_per_mille: withheld, vat_per_mille: vat, invoice, names, forms }
}

const COUNTRIES: [Country; 27] = [
    country("US", "USD", 0, 0, false, LATIN, &[", Inc.", " LLC", ", LLC", " Corp."]),
    country("US", "USD", 0, 0, false, LATIN, &[", Inc.", " LLC", " Group, L.P."]),
    country("GB", "GBP", 0, 200, false, LATIN, &[" Ltd", " plc", " (UK) Limited"]),
    country("DE", "EUR", 0, 190, false, GERMAN, &[" GmbH", " GmbH & Co. KG", " AG"]),
    country("CH", "CHF", 0, 81, false, GERMAN, &[" AG", " Sàrl"]),
    country("FR", "EUR", 0, 200, false, ROMANCE, &[" S.A.", " SARL", ", SAS"]),
    country("ES", "EUR", 0, 210, false, ROMANCE, &[", S.L.", ", S.A."]),
    country("BR", "BRL", 150, 0, true, ROMANCE, &[" Ltda.", " S/A"]),
    country("MX", "MXN", 100, 160, true, ROMANCE, &[", S.A. de C.V.", " S. de R.L."]),
    country("SE", "SEK", 0, 250, false, NORDIC, &[" AB"]),
    country("NO", "NOK", 0, 250, false, NORDIC, &[" AS"]),
    country("DK", "DKK", 0, 250, false, NORDIC, &[" A/S", " ApS"]),
    country("PL", "PLN", 0, 230, true, NORDIC, &[" Sp. z o.o.", " S.A."]),
    country("CZ", "CZK", 0, 210, false, NORDIC, &[", s.r.o.", ", a.s."]),
    country("HU", "HUF", 0, 270, false, NORDIC, &[" Kft.", " Zrt."]),
    country(
        "GR",
        "EUR",
        0,
        240,
        false,
        &["Ελληνικό Σύννεφο", "Αθηνά Πληροφορική", "Όλυμπος \"Δ\" Λογισμικό"],
        &[" Α.Ε.", " ΕΠΕ"],
    ),
    country("UA", "UAH", 0, 200, false, &["Київ Хмара", "Дніпро Софт", "Їжак і Ко"], &[" ТОВ", ", ПрАТ"]),
    country(
        "JP",
        "JPY",
        102,
        100,
        false,
        &["株式会社青空クラウド", "富士通信ソフト", "東京データ、サービス"],
        &["", "㈱", " 合同会社"],
    ),
    country(
        "CN",
        "CNY",
        60,
        60,
        true,
        &["上海云计算", "北京\"蓝天\"软件", "深圳数据科技"],
        &["有限公司", "股份有限公司"],
    ),
    country("KR", "KRW", 110, 100, true, &["서울 클라우드", "한강 소프트웨어"], &[" 주식회사", "(주)"]),
    country("AE", "AED", 0, 50, false, &["شركة الأفق للبرمجيات", "النخيل لتقنية المعلومات"], &["", " ذ.م.م"]),
    country("IL", "ILS", 0, 170, true, &["ענן כחול", "ירושלים מערכות"], &[" בע\"מ"]),
    country(
        "IN",
        "INR",
        100,
        180,
        true,
        &["भारत क्लाउड", "Ganges Infotech", "Deccan \"Prime\" Systems"],
        &[" Pvt. Ltd.", " Private Limited"],
    ),
    country("AU", "AUD", 0, 100, false, LATIN, &[" Pty Ltd"]),
    country("NZ", "NZD", 0, 150, false, LATIN, &[" Limited"]),
    country("CA", "CAD", 0, 50, false, LATIN, &[" Inc.", " Ltée"]),
    country("SG", "SGD", 0, 90, false, LATIN, &[" Pte. Ltd."]),
];

/// South Africa stands for itself: the country of the participant of the documented example.
const ZA: Country = country("ZA", "ZAR", 50, 150, false, LATIN, &[" (Pty) Ltd"]);

/// A participant and how much there is of it.
pub(super) struct Participant {
    /// Its place by size, from 0.
    pub rank: u64,
    pub id: String,
    pub id_type: &'static str,
    pub name: String,
    pub country: &'static Country,
    /// Index of its own currency.
    pub currency: u8,
    /// Indexes of its programmes.
    pub programs: Vec<u8>,
    pub payments: u64,
    pub earnings: u64,
    /// The number of its first payment among all.
    pub first_payment: u64,
    /// The number of its first earning among all.
    pub first_earning: u64,
}

/// Everything that rows are made from.
pub(super) struct World {
    pub seed: u64,
    /// In ledger order.
    pub participants: Vec<Participant>,
    /// Microseconds of the end of the last day.
    pub end: i64,
}

/// The country list in the constant pool, so that participants can refer to it.
static COUNTRY_TABLE: [Country; 27] = COUNTRIES;
static ZA_COUNTRY: Country = ZA;

impl World {
    pub fn new(options: &Options) -> Self {
        let count = options
            .participants
            .unwrap_or_else(|| (options.rows / 400).clamp(20, 50_000))
            .min(options.rows.max(options.earnings));
        let payments = shares(options.rows, count);
        let earnings = shares(options.earnings, count);
        let mut participants: Vec<Participant> = (0..count).map(|rank| participant(options.seed, rank)).collect();
        for (participant, (payments, earnings)) in participants.iter_mut().zip(payments.into_iter().zip(earnings)) {
            (participant.payments, participant.earnings) = (payments, earnings);
        }
        participants.sort_by(|a, b| canonical(&a.id).cmp(canonical(&b.id)));
        let (mut payment, mut earning) = (0, 0);
        for participant in &mut participants {
            (participant.first_payment, participant.first_earning) = (payment, earning);
            payment += participant.payments;
            earning += participant.earnings;
        }
        let end = payouts_model::Timestamp::start_of(options.until).0 + DAY_US;
        Self { seed: options.seed, participants, end }
    }

    /// What a first-time user can ask for.
    pub fn examples(&self) -> Made {
        let mut by_size: Vec<&Participant> = self.participants.iter().collect();
        by_size.sort_by_key(|p| p.rank);
        let mut programs: Vec<u8> = by_size.iter().flat_map(|p| p.programs.iter().copied()).collect();
        programs.sort_unstable();
        programs.dedup();
        Made {
            participants: by_size.iter().take(2).map(|p| p.id.clone()).collect(),
            programs: programs.into_iter().map(|i| PROGRAMS[usize::from(i)].name.to_owned()).collect(),
            payment_id: format!("{:012}", super::payments::KNOWN_PAYMENTS[0]),
            kept: false,
        }
    }
}

/// Microseconds of a day.
pub(super) const DAY_US: i64 = 86_400_000_000;

/// Shares of `rows` by rank: nearly Zipf's law, at least one each while there are enough.
fn shares(rows: u64, count: u64) -> Vec<u64> {
    if rows < count {
        return (0..count).map(|rank| u64::from(rank < rows)).collect();
    }
    let weight = |rank: u64| (1_u128 << 40) / u128::from(rank + 2);
    let sum: u128 = (0..count).map(weight).sum();
    let spare = rows - count;
    let mut shares: Vec<u64> = (0..count).map(|rank| 1 + (u128::from(spare) * weight(rank) / sum) as u64).collect();
    let left = rows - shares.iter().sum::<u64>();
    if let Some(largest) = shares.first_mut() {
        *largest += left;
    }
    shares
}

fn participant(seed: u64, rank: u64) -> Participant {
    let mut random = Random::at(&[seed, 1, rank]);
    let country = match rank {
        0 => &COUNTRY_TABLE[0],
        3 => &ZA_COUNTRY,
        // Every country, and with it every script, is among the first.
        _ if rank < COUNTRY_TABLE.len() as u64 => &COUNTRY_TABLE[(rank * 11) as usize % COUNTRY_TABLE.len()],
        _ => random.pick(&COUNTRY_TABLE),
    };
    let seller = rank != 0 && random.chance(200);
    let mut programs: Vec<u8> = if rank == 0 {
        LARGEST.to_vec()
    } else {
        let fits: Vec<u8> = (0..PROGRAMS.len() as u8).filter(|&i| PROGRAMS[usize::from(i)].store == seller).collect();
        let wanted = 1 + random.weighted(&[55, 25, 15, 5]);
        (0..wanted).map(|_| *random.pick(&fits)).collect()
    };
    programs.sort_unstable();
    programs.dedup();
    let name = match rank {
        0 => "Fabrikam, Inc.".to_owned(),
        1 => "O'Neill \"Cloud\" & Sons, Ltd.".to_owned(),
        _ => format!("{}{}", random.pick(country.names), random.pick(country.forms)),
    };
    let id_type = if seller { "SellerId" } else { *random.pick(&["MPN", "MPN", "MPN", "EnrollmentNumber"]) };
    let currency = CURRENCIES.iter().position(|c| c.code == country.currency).unwrap_or_default() as u8;
    Participant {
        rank,
        id: participant_id(rank),
        id_type,
        name,
        country,
        currency,
        programs,
        payments: 0,
        earnings: 0,
        first_payment: 0,
        first_earning: 0,
    }
}

/// The id of the participant of a rank: of several lengths, some with leading zeros, unique in
/// canonical form because each shape has numbers of its own.
fn participant_id(rank: u64) -> String {
    let (long, short) = (1_000_100 + rank * 13, 20_000 + rank * 3);
    match rank {
        0 => "1000042".into(),
        3 => "0012345".into(),
        _ if rank < 300_000 => match rank % 5 {
            0 => long.to_string(),
            1 => format!("00{long}"),
            2 => format!("{}", long * 100 + 1),
            3 => short.to_string(),
            _ => format!("{short:010}"),
        },
        _ => format!("{}", 10_000_000_000 + rank),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_texts_are_in_byte_order() {
        assert!(CURRENCIES.iter().map(|c| c.code).is_sorted());
        assert!(PROGRAMS.iter().map(|p| p.name).is_sorted());
        assert!(ORDER_TYPES.is_sorted() && METHODS.is_sorted());
        for country in &COUNTRY_TABLE {
            assert!(CURRENCIES.iter().any(|c| c.code == country.currency), "{}", country.code);
        }
    }

    #[test]
    fn shares_add_up_and_are_skewed() {
        for (rows, count) in [(0, 0), (5, 20), (20, 20), (1000, 20), (10_000_000, 25_000)] {
            let shares = shares(rows, count);
            assert_eq!(shares.iter().sum::<u64>(), rows);
            assert!(shares.iter().all(|s| s <= &shares[0]));
        }
        assert!(shares(10_000_000, 25_000)[0] > 400_000);
    }

    #[test]
    fn participant_ids_are_unique_whatever_their_zeros() {
        let ids: std::collections::HashSet<String> =
            (0..320_000).map(|r| canonical(&participant_id(r)).to_owned()).collect();
        assert_eq!(ids.len(), 320_000);
        assert!(ids.contains("12345") && ids.contains("1000042"));
    }
}
