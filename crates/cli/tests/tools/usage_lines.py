"""Every usage line that the original's reference prints, sent as printed, against DuckDB.

usage_lines.py URL TOKEN DATA
"""
import sys
import urllib.parse

from client import COLUMNS, Client, connect, difference, expected_rows, exported_rows

url, token, data = sys.argv[1:4]
client = Client(url, token)
CANONICAL = "coalesce(nullif(ltrim({0}, '0'), ''), '0')"
participant = CANONICAL.format('"participantID"')
payment = CANONICAL.format('"paymentID"')
MANY = ("payoutStatusUpdateTS ge 2023-01-01 and payoutStatusUpdateTS le 2026-05-31 and (enrollmentParticipantId eq '1000042' or enrollmentParticipantId eq '12345') "
        "and (payoutOrderType eq 'REBATE' or payoutOrderType eq 'FEE') and (paymentAmount ge 100 and paymentAmount le 50000) and (programName ne 'None such')")
MANY_SQL = (f"\"payoutStatusUpdateTS\" >= TIMESTAMPTZ '2023-01-01' AND \"payoutStatusUpdateTS\" < TIMESTAMPTZ '2026-06-01' AND ({participant} IN ('1000042','12345')) "
            "AND \"payoutOrderType\" IN ('REBATE','FEE') AND \"totalPayment\" BETWEEN 100 AND 50000 AND \"programName\" <> 'None such'")
DATES_SQL = "\"payoutStatusUpdateTS\" >= TIMESTAMPTZ '2023-01-01' AND \"payoutStatusUpdateTS\" < TIMESTAMPTZ '2025-06-01'"
q = urllib.parse.quote
# (report, raw query string as clients send it, the rows in SQL)
LINES = [
    ("payments", "$filter=enrollmentParticipantId=12345", f"{participant} = '12345'"),
    ("payments", "$filter=" + q(MANY), MANY_SQL),
    ("payments", "$filter=paymentAmount%20ge%202000%20and%20paymentAmount%20le%205000", '"totalPayment" BETWEEN 2000 AND 5000'),
    ("payments", "$filter=paymentAmount+ge+2000+and+paymentAmount+le+5000", '"totalPayment" BETWEEN 2000 AND 5000'),
    ("payments", "$filter=paymentId=123456", f"{payment} = '123456'"),
    ("payments", "$filter=paymentId=6772397028", f"{payment} = '6772397028'"),
    ("payments", "$filter=?$filter=payoutOrderType='REBATE'", "\"payoutOrderType\" = 'REBATE'"),
    ("payments", "$filter=" + q("?$filter=payoutOrderType='REBATE'"), "\"payoutOrderType\" = 'REBATE'"),
    ("payments", "$filter=payoutStatusUpdateTS%20ge%202023-01-01%20and%20payoutStatusUpdateTS%20le%202025-05-31", DATES_SQL),
    ("transactionhistory", "$filter=payoutStatusUpdateTS%20ge%202023-01-01%20and%20payoutStatusUpdateTS%20le%202025-05-31", DATES_SQL),
    ("transactionhistory", "$filter=EarningForDate%20ge%202019-01-27T23:16:31.009Z%20and%20EarningForDate%20le%202025-09-25T23:16:31.009Z", "\"earningDate\" >= DATE '2019-01-28' AND \"earningDate\" <= DATE '2025-09-25'"),
    ("transactionhistory", "$filter=payableSubType%20eq%20'REBATE'", "\"payableSubType\" = 'REBATE'"),
    # The same, each as query parameters of their own.
    ("payments", "enrollmentParticipantId=12345", f"{participant} = '12345'"),
    ("payments", "paymentAmount=" + q("paymentAmount ge 2000 and paymentAmount le 5000"), '"totalPayment" BETWEEN 2000 AND 5000'),
    ("payments", "paymentId=123456", f"{payment} = '123456'"),
    ("payments", "payoutOrderType=REBATE", "\"payoutOrderType\" = 'REBATE'"),
    ("payments", "payoutOrderType='REBATE'", "\"payoutOrderType\" = 'REBATE'"),
    ("payments", "payoutStatusUpdateTS=" + q("payoutStatusUpdateTS ge 2023-01-01 and payoutStatusUpdateTS le 2025-05-31"), DATES_SQL),
    ("transactionhistory", "payoutStatusUpdateTS=" + q("payoutStatusUpdateTS ge 2023-01-01 and payoutStatusUpdateTS le 2025-05-31"), DATES_SQL),
    ("payments", q("Multiple filters") + "=" + q(MANY), MANY_SQL),
    ("payments", "enrollmentParticipantId=1000042&enrollmentParticipantId=12345&payoutOrderType=FEE", f"{participant} IN ('1000042','12345') AND \"payoutOrderType\" = 'FEE'"),
    ("payments", "paymentAmount=paymentAmount+ge+100&$filter=payoutOrderType%20eq%20%27FEE%27", "\"totalPayment\" >= 100 AND \"payoutOrderType\" = 'FEE'"),
]
databases = {report: connect(data, report) for report in COLUMNS}
failures = hits = 0
for report, query, where in LINES:
    try:
        _, text = client.export(report, query + "&fileformat=csv&$select=" + ",".join(COLUMNS[report]))
        header, ours = exported_rows(text)
        theirs = expected_rows(databases[report], report, where)
        assert header == COLUMNS[report], header
        assert ours == theirs, difference(ours, theirs)
        hits += bool(theirs)
        print(f"ok   {len(ours):7} rows  {report}?{query[:110]}")
    except AssertionError as error:
        failures += 1
        print(f"FAIL {report}?{query[:200]}\n     {error}")
print(f"{len(LINES) - failures} passed, {failures} failed; {hits} of them selected rows")
sys.exit(1 if failures or hits < len(LINES) - 2 else 0)
