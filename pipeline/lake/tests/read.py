"""Reads a lake (argument 1) and its export (argument 2) with other programs; prints what they saw as JSON."""

import json
import sys

import duckdb
import polars
from deltalake import DeltaTable

lake, copy = sys.argv[1], sys.argv[2]
seen = {"deltalake": {}, "polars": {}, "duckdb": {}}

for table in ["records", "reports", "daily"]:
    rows = DeltaTable(f"{lake}/{table}").to_pyarrow_table()
    seen["deltalake"][table] = {
        "rows": rows.num_rows,
        "messages": sum(rows["messages"].to_pylist()),
        "days": len(set(rows["date"].to_pylist())),
        "first": str(min(rows["date"].to_pylist())),
    }
    frame = polars.read_delta(f"{lake}/{table}")
    seen["polars"][table] = {
        "rows": frame.height,
        "messages": frame["messages"].sum(),
        "days": frame["date"].n_unique(),
        "first": str(frame["date"].min()),
    }
    rows, messages, days, first = duckdb.sql(
        "SELECT count(*), sum(messages)::BIGINT, count(DISTINCT date), min(date)::DATE "
        f"FROM read_parquet('{copy}/{table}/*/*.parquet', hive_partitioning = true)"
    ).fetchall()[0]
    seen["duckdb"][table] = {"rows": rows, "messages": messages, "days": days, "first": str(first)}

records = polars.read_delta(f"{lake}/records")
seen["polars"]["dkim_type"] = str(records.schema["dkim"])
seen["polars"]["range_begin_type"] = str(records.schema["range_begin"])
seen["polars"]["dkim"] = int(records["dkim"].list.len().sum())
seen["polars"]["marked"] = polars.read_delta(f"{lake}/reports").filter(polars.col("copies") == 1000).height
scan = polars.scan_delta(f"{lake}/records")
parts = [scan.filter(polars.col("policy_domain") == name).collect().height for name in records["policy_domain"].unique()]
seen["polars"]["pruned"] = sum(parts)
seen["duckdb"]["dkim"] = int(
    duckdb.sql(f"SELECT sum(len(dkim)) FROM read_parquet('{copy}/records/*/*.parquet', hive_partitioning = true)").fetchall()[0][0]
)
print(json.dumps(seen))
