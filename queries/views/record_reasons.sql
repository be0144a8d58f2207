-- One row for each reason of `records`, with the record's key, verdict and disposition.
-- A record with several reasons repeats its messages: do not add them up over rows of this view.
SELECT
    date,
    report_key,
    record_index,
    policy_domain,
    org_name,
    source_ip,
    header_from,
    messages,
    disposition,
    dmarc_pass,
    service,
    item['type'] AS type,
    item['comment'] AS comment
FROM (SELECT *, unnest(reasons) AS item FROM records)
