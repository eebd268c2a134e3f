"""The bytes that Banquo hashes, written by BYTES.md alone: nothing here is taken from the TypeScript sources.

Needs Python 3.9 or later and nothing else.
"""
import hashlib
import struct
import uuid
from decimal import Decimal

FLAVORS = ["INITIAL", "FLOW", "HOLD", "CAPTURE", "RELEASE", "TERMS"]
STATUSES = ["open", "debits_frozen", "credits_frozen", "frozen", "closed"]


class Record:
    """One record: a tag that ends with a NUL, then its fields."""

    def __init__(self, tag):
        self.bytes = tag.encode() + b"\0"

    def u8(self, value):
        self.bytes += struct.pack(">B", value)
        return self

    def u32(self, value):
        self.bytes += struct.pack(">I", value)
        return self

    def i64(self, value):
        self.bytes += struct.pack(">q", value)
        return self

    def i128(self, value):
        self.bytes += value.to_bytes(16, "big", signed=True)
        return self

    def uuid(self, value):
        self.bytes += uuid.UUID(value).bytes
        return self

    def raw(self, value):
        self.bytes += value
        return self

    def blob(self, value):
        return self.u32(len(value)).raw(value)

    def text(self, value):
        return self.blob(value.encode())

    def map(self, value):
        entries = sorted((key.encode(), text) for key, text in value.items())
        self.u32(len(entries))
        for key, text in entries:
            self.blob(key).text(text)
        return self

    def optional(self, value, write):
        if value is None:
            return self.u8(0)
        self.u8(1)
        write(value)
        return self

    def sha256(self):
        return hashlib.sha256(self.bytes).digest()


def money(decimal):
    """A DECIMAL as a database prints it, in units of 10^-8."""
    scaled = Decimal(decimal).scaleb(8)
    if scaled != scaled.to_integral_value():
        raise ValueError("more than eight decimals")
    return int(scaled)


def genesis_hash(ledger_id, acct_id):
    return Record("banquo:account:v2").uuid(ledger_id).uuid(acct_id).sha256()


def change_bytes(row):
    """`row`: amounts in units of 10^-8, times in microseconds since 1970, hashes as bytes, by the names of the columns."""
    r = Record("banquo:balance_change:v2")
    r.i64(row["bchg_id"]).uuid(row["acct_id"]).i64(row["acct_seq"]).u8(FLAVORS.index(row["chg_flavor"]))
    r.optional(row["prev_bchg_id"], r.i64).optional(row["owner"], r.text).text(row["currency"]).u8(row["scale"])
    r.i128(row["chg_amt"]).i128(row["balance"]).i128(row["held_amt"]).i128(row["held"])
    r.optional(row["overdraft_limit"], r.i128).u8(STATUSES.index(row["acct_status"])).u8(1 if row["is_forced"] else 0)
    r.i64(row["xact_id"]).u32(row["xact_rows"])
    r.optional(row["hold_id"], r.i64).optional(row["hold_expires_at"], r.i64).optional(row["reverses_xact_id"], r.i64)
    for name in ("texts_hash", "idem_key", "request_hash", "details_hash"):
        r.optional(row[name], r.blob)
    r.text(row["actor"]).i64(row["effective_time"]).optional(row["value_date"], r.text).i64(row["chg_create_time"])
    return r.bytes


def change_hash(row, prev_hash):
    return hashlib.sha256(change_bytes(row) + prev_hash).digest()


def texts_hash(reference, description, metadata, salt):
    r = Record("banquo:texts:v2").raw(salt)
    return r.optional(reference, r.text).optional(description, r.text).optional(metadata or None, r.map).sha256()


def details_hash(cust_name, cust_address, reference, metadata, salt):
    r = Record("banquo:details:v2").raw(salt).text(cust_name).text(cust_address)
    return r.optional(reference, r.text).optional(metadata or None, r.map).sha256()


def idem_key(actor, key):
    return Record("banquo:idem_key:v2").text(actor).text(key).sha256()
