//! The texts of an earning, column by column.

use std::borrow::Cow;

use chrono::{Days, NaiveDate};

use super::Earning;
use crate::sample::random::Random;
use crate::sample::world::{CURRENCIES, ORDER_TYPES};

/// Customers' names: what they buy is theirs to say, in any script.
const CUSTOMERS: [&str; 16] = [
    "Alpine Ski House",
    "Bellows College",
    "Coho Winery, Ltd.",
    "Dvořák a synové, s.r.o.",
    "École Polytechnique du Lac",
    "Fourth Coffee",
    "Graphic Design Institute \"GDI\"",
    "Humongous Insurance",
    "İstanbul Lojistik A.Ş.",
    "株式会社みらい",
    "Κρήτη Ναυτιλιακή",
    "Lucerne Publishing",
    "Margie's Travel",
    "Одеса Порт",
    "Relecloud",
    "VanArsdel, Ltd.",
];

/// Products: name, part number, kind, workload.
const PRODUCTS: [(&str, &str, &str, &str); 10] = [
    ("Microsoft 365 Business Premium", "CFQ7TTC0LCHC", "Subscription", "M365"),
    ("Microsoft 365 E5", "CFQ7TTC0LFLZ", "Subscription", "M365"),
    ("Azure plan", "DZH318Z0BPS6", "Consumption", "Azure"),
    ("Azure Virtual Desktop, Dv5 Series", "DZH318Z0BQ3Q", "Consumption", "Azure"),
    ("Dynamics 365 Sales Enterprise", "CFQ7TTC0LFF1", "Subscription", "D365"),
    ("Power BI Pro", "CFQ7TTC0H9MP", "Subscription", "Power Platform"),
    ("Surface Laptop 6 13.5\" 16 GB", "ZPX-00012", "Device", "Devices"),
    ("Windows 11 Enterprise E3", "CFQ7TTC0LGTX", "Subscription", "Windows"),
    ("Teams Rooms Pro", "CFQ7TTC0QW7C", "Subscription", "Teams"),
    ("Defender for Endpoint P2", "CFQ7TTC0LGV0", "Subscription", "Security"),
];

/// What stores sell: name, id, kind.
const STORE_PRODUCTS: [(&str, &str, &str); 5] = [
    ("Tailspin Racer: \"Night\" Edition", "9NBLGGH4R32N", "Game"),
    ("Contoso Invoices", "9WZDNCRFJ3PZ", "App"),
    ("Wingtip Backup for Azure", "wingtip.backup-saas", "SaaS"),
    ("Extra Lives, 100 pack", "9MSPC6MP8FM4", "Add-on"),
    ("Litware Firewall VM", "litware.firewall-byol", "VM"),
];

type Text = Option<Cow<'static, str>>;

fn fixed(text: &'static str) -> Text {
    Some(Cow::Borrowed(text))
}

fn made(text: String) -> Text {
    Some(Cow::Owned(text))
}

/// One of the texts.
fn one(random: &mut Random, texts: &[&'static str]) -> Text {
    maybe(random, 1000, texts)
}

/// One of the texts in `per_mille` of a thousand rows.
fn maybe(random: &mut Random, per_mille: u64, texts: &[&'static str]) -> Text {
    random.chance(per_mille).then(|| Cow::Borrowed(*random.pick(texts)))
}

/// A random number in fifteen digits, so that ids look like ids.
fn digits(random: &mut Random) -> u64 {
    random.below(900_000_000_000_000) + 100_000_000_000_000
}

fn guid(random: &mut Random) -> String {
    let bytes = (u128::from(random.bits()) << 64 | u128::from(random.bits())).to_be_bytes();
    uuid::Builder::from_random_bytes(bytes).into_uuid().hyphenated().to_string()
}

/// The value of a text column. Columns of one thing (a customer, a product) agree within a row.
pub(super) fn text<'a>(name: &str, e: &'a Earning, mut random: Random) -> Option<Cow<'a, str>> {
    let store = e.payment.program().store;
    match name {
        "earningId" => made(e.id.to_string()),
        "participantId" | "earningParticipantId" => Some(Cow::Borrowed(&e.who.id)),
        "participantIdType" | "earningParticipantIdType" => fixed(e.who.id_type),
        "participantName" | "earningParticipantName" => Some(Cow::Borrowed(&e.who.name)),
        "partnerCountryCode" | "taxCountry" | "transactionCountryCode" => fixed(e.who.country.code),
        "programName" => fixed(e.payment.program().name),
        "programCode" => fixed(e.payment.program().code),
        "transactionId" => made(guid(&mut random)),
        "transactionCurrency" => fixed(CURRENCIES[usize::from(e.payment.earned_currency)].code),
        "lastPaymentCurrency" if e.payment.id != 0 => fixed(CURRENCIES[usize::from(e.payment.payment_currency)].code),
        "lastPaymentCurrency" => None,
        "earningType" => fixed(["Co-op", "Fee", "Rebate", "Sell"][usize::from(e.payment.order_type)]),
        "payableSubType" => fixed(ORDER_TYPES[usize::from(e.payment.order_type)]),
        "paymentId" => e.payment.id_text().map(Cow::Owned),
        "paymentStatus" => fixed(e.payment.status_text()),
        "paymentStatusDescription" => e.payment.description().map(Cow::Borrowed),
        "claimId" => random.chance(200).then(|| Cow::Owned(format!("CL-{:08}", random.below(100_000_000)))),
        "transactionType" if e.amount < 0 => one(&mut random, &["refund", "reversal", "chargeback"]),
        "transactionType" => fixed("purchase"),
        "reasonCode" => {
            (e.amount < 0).then(|| Cow::Borrowed(*random.pick(&["CLAWBACK", "TRUE-UP", "DISPUTE, LOST", "DUPLICATE"])))
        }
        "estimatedPaymentMonth" => estimated_month(e),
        _ => customer(name, e)
            .or_else(|| product(name, e, store))
            .or_else(|| if store { of_store(name, &mut random) } else { of_incentive(name, &mut random) }),
    }
}

fn estimated_month(e: &Earning) -> Text {
    let epoch = NaiveDate::from_ymd_opt(1970, 1, 1)?;
    let date = epoch.checked_add_days(Days::new(u64::try_from(e.date).ok()? + 60))?;
    made(date.format("%b-%Y").to_string())
}

fn customer(name: &str, e: &Earning) -> Text {
    let mut random = Random::at(&[e.seed, 1 << 32]);
    let which = random.below(CUSTOMERS.len() as u64) as usize;
    let number = which as u64 * 1000 + random.below(1000);
    let (country, state, city, zip) = *random.pick(&[
        ("US", "WA", "Redmond", "98052"),
        ("US", "NY", "New York", "10001"),
        ("DE", "Bayern", "München", "80331"),
        ("BR", "SP", "São Paulo", "01310-100"),
        ("IN", "KA", "Bengaluru", "560001"),
        ("FR", "Île-de-France", "Paris", "75001"),
    ]);
    match name {
        "customerId" => made(format!("C{number:07}")),
        "customerName" => fixed(CUSTOMERS[which]),
        "customerEmail" => random.chance(400).then(|| Cow::Owned(format!("billing+{number}@example.com"))),
        "customerTenantId" => random.chance(800).then(|| Cow::Owned(guid(&mut Random::at(&[6, number])))),
        "customerCountry" => fixed(country),
        "taxState" => fixed(state),
        "taxCity" => fixed(city),
        "taxZipCode" => fixed(zip),
        _ => None,
    }
}

fn product(name: &str, e: &Earning, store: bool) -> Text {
    let mut random = Random::at(&[e.seed, 2 << 32]);
    if store {
        let (product, id, kind) = *random.pick(&STORE_PRODUCTS);
        return match name {
            "productName" => fixed(product),
            "productId" | "assetId" => fixed(id),
            "parentProductId" if kind == "Add-on" => fixed(STORE_PRODUCTS[0].1),
            "parentProductName" if kind == "Add-on" => fixed(STORE_PRODUCTS[0].0),
            "productType" => fixed(kind),
            "skuId" => made(format!("{id}:{:04}", random.below(20))),
            _ => None,
        };
    }
    let (product, part, kind, workload) = *random.pick(&PRODUCTS);
    match name {
        "productName" => fixed(product),
        "productId" | "partNumber" => fixed(part),
        "productType" => fixed(kind),
        "workload" => fixed(workload),
        "solutionArea" => fixed(match workload {
            "Azure" => "Infrastructure (Azure)",
            "D365" | "Power Platform" => "Business Applications",
            "Security" => "Security",
            _ => "Modern Work",
        }),
        "skuId" => made(format!("{part}:{:04}", random.below(20))),
        _ => None,
    }
}

fn of_store(name: &str, random: &mut Random) -> Text {
    match name {
        "orderId" => made(guid(random)),
        "lineItemId" => made(guid(random)),
        "localProviderSeller" => random.chance(100).then_some(Cow::Borrowed("Local Provider")),
        "taxRemitted" if random.chance(300) => fixed("AGENT_MS_REMIT"),
        "taxRemitted" => made(format!("{}.{:02}", random.below(400), random.below(100))),
        "taxRemitModel" => one(random, &["Microsoft remits", "Developer remits"]),
        "transactionPaymentMethod" => one(random, &["Credit Card", "PayPal", "Invoice", "Store Credit"]),
        "tpan" => maybe(random, 150, &["AdMob", "Vungle"]),
        "purchaseTypeCode" => one(random, &["NEW", "RENEW"]),
        "purchaseTypeName" => one(random, &["New purchase", "Renewal"]),
        "externalReferenceId" => made(digits(random).to_string()),
        "externalReferenceIdLabel" => fixed("Marketplace order"),
        "categoryId" => one(random, &["Games", "Productivity", "Security & identity"]),
        "quantityType" => fixed("Billed quantity"),
        "revenueClassification" => one(random, &["Net", "Gross"]),
        _ => None,
    }
}

fn of_incentive(name: &str, random: &mut Random) -> Text {
    match name {
        "lever" => one(
            random,
            &[
                "CSP Core Incentive",
                "CSP Strategic Product Accelerator - Tier 1",
                "CSP Customer Add, Global",
                "Azure Consumption \"Growth\"",
                "Co-op Accrual",
            ],
        ),
        "invoiceNumber" => random.chance(800).then(|| Cow::Owned(format!("G{:09}", random.below(1_000_000_000)))),
        "subscriptionId" => random.chance(900).then(|| Cow::Owned(guid(random))),
        "resellerId" => random.chance(300).then(|| Cow::Owned(format!("{:08}", random.below(10_000_000)))),
        "resellerName" => maybe(random, 300, &["Trey Research, Inc.", "Söderberg AB", "Woodgrove"]),
        "resellerCountry" => maybe(random, 300, &["US", "SE", "FR"]),
        "distributorId" => random.chance(200).then(|| Cow::Owned(format!("{:07}", random.below(1_000_000)))),
        "distributorName" => maybe(random, 200, &["Consolidated Messenger", "Nod Publishers"]),
        "agreementNumber" => random.chance(700).then(|| Cow::Owned(format!("{:010}", random.below(100_000_000)))),
        "agreementName" => maybe(random, 500, &["Microsoft Partner Agreement", "Enterprise Agreement, 3 years"]),
        "agreementType" => maybe(random, 500, &["MPA", "EA"]),
        "licensingProgramName" => one(random, &["Cloud Solution Provider", "Enterprise", "Open Value"]),
        "purchaseOrderType" => maybe(random, 300, &["New", "True-up"]),
        "quantityType" => one(random, &["MAU", "Seats", "Billed quantity"]),
        "quantityAltType" => random.chance(120).then_some(Cow::Borrowed("Core hours")),
        "fundCategory" => maybe(random, 200, &["Demand generation", "Market development", "Readiness"]),
        "milestone" => maybe(random, 100, &["25 %", "50 %", "Complete"]),
        "engagementId" => random.chance(250).then(|| Cow::Owned(format!("ENG-{:06}", random.below(1_000_000)))),
        "engagementName" => random.chance(250).then(|| {
            Cow::Borrowed(*random.pick(&["Cloud Accelerate, Phase 2", "Migrate \"Now\"", "Copilot Readiness"]))
        }),
        "partnerAssociation" => one(random, &["CPOR", "DPOR", "PAL"]),
        "partnerRole" => one(random, &["Transacting", "Influencing"]),
        "resourceId" => random.chance(300).then(|| Cow::Owned(format!("/subscriptions/{}", guid(random)))),
        "baselineType" => maybe(random, 150, &["Trailing 12 months", "Fixed"]),
        "revenueClassification" => one(random, &["Strategic", "Core"]),
        _ => None,
    }
}
