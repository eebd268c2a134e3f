"""Computes what ../test/vectors.json says of its inputs anew, by banquo_bytes.py. Prints the file."""
import json
import pathlib
import re

from banquo_bytes import FLAVORS, STATUSES, Record, change_bytes, change_hash, details_hash, genesis_hash, idem_key, money, texts_hash

SUBJECTS = ["posted", "available"]
COMPARISONS = ["gte", "lte", "gt", "lt", "eq"]


def snake(name):
    return re.sub(r"[A-Z]", lambda letter: "_" + letter.group().lower(), name)


HASHES = {"textsHash", "idemKey", "requestHash", "detailsHash"}
TEXTS = {"acctId", "chgFlavor", "owner", "currency", "acctStatus", "actor", "valueDate"}


def row_of(vector):
    row = {}
    for name, value in vector.items():
        if value is not None and name in HASHES:
            value = bytes.fromhex(value)
        elif isinstance(value, str) and name not in TEXTS:
            value = int(value)
        row[snake(name)] = value
    return row


def remarks(r, intent):
    r.optional(intent.get("reference"), r.text).optional(intent.get("description"), r.text)
    r.optional(intent.get("metadata") or None, r.map)


def expectation(r, intent):
    def conditions(items):
        r.u32(len(items))
        for item in items:
            r.u8(SUBJECTS.index(item["subject"])).u8(COMPARISONS.index(item["comparison"])).i128(money(item["amount"]))

    r.optional(intent.get("expectedSeq"), r.i64).optional(intent.get("require"), conditions)


def expiry(r, value):
    r.u8(0).i64(int(value["at"])) if "at" in value else r.u8(1).u32(value["ttl"])


def changes(r, items):
    r.u32(len(items))
    for item in items:
        r.uuid(item["acctId"]).i128(money(item["amount"]))
        expectation(r, item)


def time(r, intent, name="effectiveTime"):
    value = intent.get(name)
    r.optional(None if value is None else int(value), r.i64)


def request_hash(intent, salt):
    tag = intent["_tag"]
    r = Record(f"banquo:request:{tag}:v2").u8(0 if salt is None else 1).raw(salt or b"")
    amount = lambda value: r.i128(money(value))
    if tag == "OpenAccount":
        r.optional(intent["acctId"] if intent["acctIdIsChosen"] else None, r.uuid)
        r.text(intent["custName"]).text(intent["custAddress"]).optional(intent["owner"], r.text)
        r.text(intent["currency"]).optional(intent["scale"], r.u8)
        amount(intent["initialBalance"])
        r.optional(intent["overdraftLimit"], amount).optional(intent["reference"], r.text)
        r.optional(intent["metadata"] or None, r.map)
    elif tag == "PostTransaction":
        changes(r, intent["changes"])
        remarks(r, intent)
        time(r, intent)
        r.optional(intent.get("valueDate"), r.text)
    elif tag == "PlaceHold":
        r.uuid(intent["acctId"])
        amount(intent["amount"])
        expiry(r, intent["expiry"])
        expectation(r, intent)
        remarks(r, intent)
    elif tag == "IncreaseHold":
        r.i64(int(intent["holdId"]))
        amount(intent["amount"])
        r.optional(intent["expiry"], lambda value: expiry(r, value))
        expectation(r, intent)
        remarks(r, intent)
    elif tag == "CaptureHold":
        r.i64(int(intent["holdId"])).optional(intent["amount"], amount).u8(1 if intent["isFinal"] else 0)
        r.optional(intent["to"], r.uuid)
        time(r, intent)
        expectation(r, intent)
        remarks(r, intent)
    elif tag == "ReleaseHold":
        r.i64(int(intent["holdId"]))
        expectation(r, intent)
        remarks(r, intent)
    elif tag == "ExpireHolds":
        r.uuid(intent["acctId"])
    elif tag == "ChangeTerms":
        status = intent.get("acctStatus")
        r.uuid(intent["acctId"]).optional(None if status is None else STATUSES.index(status), r.u8)
        r.u8(1 if "overdraftLimit" in intent else 0).optional(intent.get("overdraftLimit"), amount)
        r.optional(intent.get("custName"), r.text).optional(intent.get("custAddress"), r.text)
        expectation(r, intent)
        remarks(r, {"description": intent["reason"], "metadata": intent["metadata"]})
    elif tag == "ReverseTransaction":
        r.i64(int(intent["xactId"])).optional(intent["changes"], lambda items: changes(r, items))
        r.u8(1 if intent["isForced"] else 0)
        time(r, intent)
        remarks(r, intent)
    else:
        raise ValueError(tag)
    return r.sha256()


def salt_of(vector):
    return None if vector["salt"] is None else bytes.fromhex(vector["salt"])


def computed(vectors):
    for vector in vectors["genesis"]:
        vector["hash"] = genesis_hash(vector["ledgerId"], vector["acctId"]).hex()
    prev = {vector["name"]: vector["hash"] for vector in vectors["genesis"]}
    for vector in vectors["changes"]:
        row = row_of(vector["row"])
        # The hash before: of the vector that is named, or bytes that stand for any.
        vector["prevHash"] = prev.get(vector["after"], vector["after"])
        vector["canonicalBytes"] = change_bytes(row).hex()
        vector["chgHash"] = prev[vector["name"]] = change_hash(row, bytes.fromhex(vector["prevHash"])).hex()
    for vector in vectors["texts"]:
        vector["hash"] = texts_hash(vector["reference"], vector["description"], vector["metadata"], salt_of(vector)).hex()
    for vector in vectors["details"]:
        names = ("custName", "custAddress", "reference", "metadata")
        vector["hash"] = details_hash(*(vector[name] for name in names), salt_of(vector)).hex()
    for vector in vectors["idemKeys"]:
        vector["hash"] = idem_key(vector["actor"], vector["key"]).hex()
    for vector in vectors["requests"]:
        vector["requestHash"] = request_hash(vector["intent"], salt_of(vector)).hex()
    return vectors


if __name__ == "__main__":
    path = pathlib.Path(__file__).parent.parent / "test" / "vectors.json"
    print(json.dumps(computed(json.loads(path.read_text())), ensure_ascii=False, indent=2))
