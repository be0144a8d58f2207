-- One row for each result of column spf of `records`, with the record's key and verdict.
-- A record with several results repeats its messages: do not add them up over rows of this view.
SELECT
    date,
    report_key,
    record_index,
    policy_domain,
    org_name,
    source_ip,
    header_from,
    messages,
    spf_aligned,
    dmarc_pass,
    service,
    item['domain'] AS domain,
    item['scope'] AS scope,
    item['result'] AS result,
    item['human_result'] AS human_result
FROM (SELECT *, unnest(spf) AS item FROM records)
