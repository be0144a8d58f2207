-- One report.
-- The records of a report, as it gives them.
--
-- parameters:
--   key  text  null  the report's key, as `reports` shows it; by default the newest report
-- columns:
--   record_index   ordinal of the record, from 0
--   source_ip      the address that sent
--   messages       messages that the record stands for
--   disposition    what the receiver did
--   dkim_aligned   whether an aligned DKIM signature verified
--   spf_aligned    whether an aligned SPF check passed
--   dmarc_pass     whether either did
--   header_from    the domain in the From header
--   envelope_from  domain of the envelope sender
--   service        the sending service that it was recognised as
--   country        country of the address
--   forwarding     sign that the messages were forwarded
--   reasons        why the disposition differs from the policy
--   dkim           every DKIM result
--   spf            every SPF result
--   policy_domain  the domain that the report is about
--   org_name       the organisation that made it
--   report_id      its identifier
--   report_key     its key
SELECT
    record_index,
    source_ip,
    messages,
    disposition,
    dkim_aligned,
    spf_aligned,
    dmarc_pass,
    header_from,
    envelope_from,
    service,
    country,
    forwarding,
    reasons,
    dkim,
    spf,
    policy_domain,
    org_name,
    report_id,
    report_key
FROM records
WHERE report_key = CASE
    WHEN $key IS NOT NULL THEN lower($key)
    ELSE (SELECT report_key FROM reports WHERE $key IS NULL ORDER BY range_begin DESC, report_key LIMIT 1)
END
ORDER BY record_index
