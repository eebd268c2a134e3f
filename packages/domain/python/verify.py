"""Verifies a ledger by BYTES.md alone. Reads what export.sql selects, a JSON object a line; ends with 1 at the first bad row."""
import json
import re
import sys
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from decimal import Decimal

from banquo_bytes import change_hash, details_hash, genesis_hash, money, texts_hash

AMOUNTS = ("chg_amt", "balance", "held_amt", "held", "overdraft_limit")
TIMES = ("hold_expires_at", "effective_time", "chg_create_time")
BYTES = ("texts_salt", "texts_hash", "idem_key", "request_hash", "details_hash", "chg_hash", "salt")
FIXED = ("owner", "currency", "scale")
TERMS = ("overdraft_limit", "acct_status")

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?([+-]\d\d:\d\d)")


def micros(text):
    whole, fraction, offset = TIME.fullmatch(text).groups()
    return (datetime.fromisoformat(whole + offset) - EPOCH) // timedelta(microseconds=1) + int((fraction or "").ljust(6, "0"))


def read(row):
    for names, value_of in ((AMOUNTS, money), (TIMES, micros), (BYTES, lambda text: bytes.fromhex(text[2:]))):
        for name in names:
            if row.get(name) is not None:
                row[name] = value_of(row[name])
    return row


def faults_of(row, prev, ledger_id, account):
    """What is wrong with a row, given the one before it and what is said of its account with it."""
    first = prev is None
    if row["acct_seq"] != (0 if first else prev["acct_seq"] + 1):
        yield "the sequence jumps"
    if row["prev_bchg_id"] != (None if first else prev["bchg_id"]):
        yield "it does not name the row before it"
    if row["balance"] != (0 if first else prev["balance"]) + row["chg_amt"]:
        yield "the balance is not the one before plus the change"
    if row["held"] != (0 if first else prev["held"]) + row["held_amt"]:
        yield "what is held is not what was held plus the change"
    before = genesis_hash(ledger_id, row["acct_id"]) if first else prev["chg_hash"]
    if row["chg_hash"] != change_hash(row, before):
        yield "the hash is wrong"
    if not first and any(row[name] != prev[name] for name in FIXED):
        yield "owner, currency or scale is another"
    if not first and row["chg_flavor"] != "TERMS" and any(row[name] != prev[name] for name in TERMS):
        yield "limit or status changed without TERMS"
    if not first and row["chg_create_time"] <= prev["chg_create_time"]:
        yield "it is not later than the row before it"
    if row["effective_time"] > row["chg_create_time"]:
        yield "it happened later than it was made"
    yield from words_of(row, account)


def words_of(row, account):
    texts = (row["reference"], row["description"], row["metadata"] or None)
    if row["texts_hash"] is None or row["texts_salt"] is None:
        if texts != (None, None, None):
            yield "there are texts without a hash or a salt"
    elif row["texts_hash"] != texts_hash(*texts, row["texts_salt"]):
        yield "the texts are others"
    if (row["details_hash"] is None) != (account is None):
        yield "what is said of the account is missing, or not of this row"
    elif account is not None and account["salt"] is not None:
        said = (account[name] for name in ("cust_name", "cust_address", "reference", "metadata"))
        if row["details_hash"] != details_hash(*said, account["salt"]):
            yield "what is said of the account is something else"


class Transaction:
    def __init__(self):
        self.rows, self.sizes, self.has_first, self.moving = 0, set(), False, 0
        self.sums = defaultdict(int)

    def add(self, row):
        self.rows += 1
        self.sizes.add(row["xact_rows"])
        self.has_first |= row["bchg_id"] == row["xact_id"]
        self.moving += row["chg_amt"] != 0
        self.sums[row["currency"]] += row["chg_amt"]

    def is_whole(self):
        return self.sizes == {self.rows} and self.has_first and (self.moving < 2 or not any(self.sums.values()))


def verify(lines):
    ledger_id, prev, changes, chains = None, None, 0, 0
    accounts, transactions = {}, defaultdict(Transaction)
    for line in lines:
        if not line.startswith("{"):
            continue  # BEGIN and COMMIT, as psql says them
        [(kind, row)] = json.loads(line, parse_float=Decimal).items()
        row = read(row)
        if kind == "ledger":
            ledger_id = row["ledger_id"]
        elif kind == "account":
            accounts[row["acct_id"], row["acct_seq"]] = row
        else:
            place = (row["acct_id"], row["acct_seq"])
            if prev is None or prev["acct_id"] != row["acct_id"]:
                prev, chains = None, chains + 1
            for fault in faults_of(row, prev, ledger_id, accounts.pop(place, None)):
                raise SystemExit(f"account {place[0]}, sequence {place[1]}: {fault}")
            if row["xact_rows"] > 1 or row["bchg_id"] != row["xact_id"]:
                transactions[row["xact_id"]].add(row)
            prev, changes = row, changes + 1
    for (acct_id, acct_seq) in accounts:
        raise SystemExit(f"account {acct_id}, sequence {acct_seq}: something is said of it, and there is no row")
    for xact_id, transaction in transactions.items():
        if not transaction.is_whole():
            raise SystemExit(f"transaction {xact_id}: rows are missing, or they do not sum to zero")
    print(f"the ledger is sound: {chains} accounts, {changes} changes, {len(transactions)} transactions of several changes")


if __name__ == "__main__":
    verify(sys.stdin)
