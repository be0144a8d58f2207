//! The standard's element names, and where their elements stand.

/// Every element of a report that is read, with its path.
const NAMES: &[(&str, &str)] = &[
    ("feedback", place::FEEDBACK),
    ("version", place::VERSION),
    ("report_metadata", place::METADATA),
    ("org_name", place::ORG_NAME),
    ("email", place::EMAIL),
    ("extra_contact_info", place::CONTACT),
    ("report_id", place::REPORT_ID),
    ("date_range", place::DATE_RANGE),
    ("begin", place::BEGIN),
    ("end", place::END),
    ("error", place::ERROR),
    ("generator", place::GENERATOR),
    ("policy_published", place::POLICY),
    ("domain", place::POLICY_DOMAIN),
    ("adkim", place::ADKIM),
    ("aspf", place::ASPF),
    ("p", place::P),
    ("sp", place::SP),
    ("np", place::NP),
    ("pct", place::PCT),
    ("fo", place::FO),
    ("testing", place::TESTING),
    ("discovery_method", place::DISCOVERY),
    ("psd", place::PSD),
    ("extension", place::EXTENSION),
    ("record", place::RECORD),
    ("row", place::ROW),
    ("source_ip", place::SOURCE_IP),
    ("count", place::COUNT),
    ("policy_evaluated", place::EVALUATED),
    ("disposition", place::DISPOSITION),
    ("reason", place::REASON),
    ("type", place::REASON_TYPE),
    ("comment", place::COMMENT),
    ("identifiers", place::IDENTIFIERS),
    ("identities", place::IDENTIFIERS),
    ("header_from", place::HEADER_FROM),
    ("envelope_from", place::ENVELOPE_FROM),
    ("envelope_to", place::ENVELOPE_TO),
    ("auth_results", place::AUTH),
    ("dkim", place::DKIM),
    ("spf", place::SPF),
    ("selector", place::DKIM_SELECTOR),
    ("scope", place::SPF_SCOPE),
    ("result", place::RESULT),
    ("human_result", place::HUMAN),
];

/// The paths of elements, as repairs name them.
pub(super) mod place {
    macro_rules! places {
        ($($name:ident = $path:literal;)*) => { $(pub(in crate::parse) const $name: &str = $path;)* };
    }
    places! {
        TEXT = "text";
        FEEDBACK = "feedback";
        VERSION = "feedback/version";
        METADATA = "feedback/report_metadata";
        ORG_NAME = "feedback/report_metadata/org_name";
        EMAIL = "feedback/report_metadata/email";
        CONTACT = "feedback/report_metadata/extra_contact_info";
        REPORT_ID = "feedback/report_metadata/report_id";
        DATE_RANGE = "feedback/report_metadata/date_range";
        BEGIN = "feedback/report_metadata/date_range/begin";
        END = "feedback/report_metadata/date_range/end";
        ERROR = "feedback/report_metadata/error";
        GENERATOR = "feedback/report_metadata/generator";
        POLICY = "feedback/policy_published";
        POLICY_DOMAIN = "feedback/policy_published/domain";
        ADKIM = "feedback/policy_published/adkim";
        ASPF = "feedback/policy_published/aspf";
        P = "feedback/policy_published/p";
        SP = "feedback/policy_published/sp";
        NP = "feedback/policy_published/np";
        PCT = "feedback/policy_published/pct";
        FO = "feedback/policy_published/fo";
        TESTING = "feedback/policy_published/testing";
        DISCOVERY = "feedback/policy_published/discovery_method";
        PSD = "feedback/policy_published/psd";
        EXTENSION = "feedback/extension";
        RECORD = "feedback/record";
        ROW = "feedback/record/row";
        SOURCE_IP = "feedback/record/row/source_ip";
        COUNT = "feedback/record/row/count";
        EVALUATED = "feedback/record/row/policy_evaluated";
        DISPOSITION = "feedback/record/row/policy_evaluated/disposition";
        EVALUATED_DKIM = "feedback/record/row/policy_evaluated/dkim";
        EVALUATED_SPF = "feedback/record/row/policy_evaluated/spf";
        REASON = "feedback/record/row/policy_evaluated/reason";
        REASON_TYPE = "feedback/record/row/policy_evaluated/reason/type";
        COMMENT = "feedback/record/row/policy_evaluated/reason/comment";
        IDENTIFIERS = "feedback/record/identifiers";
        HEADER_FROM = "feedback/record/identifiers/header_from";
        ENVELOPE_FROM = "feedback/record/identifiers/envelope_from";
        ENVELOPE_TO = "feedback/record/identifiers/envelope_to";
        AUTH = "feedback/record/auth_results";
        DKIM = "feedback/record/auth_results/dkim";
        DKIM_DOMAIN = "feedback/record/auth_results/dkim/domain";
        DKIM_SELECTOR = "feedback/record/auth_results/dkim/selector";
        DKIM_RESULT = "feedback/record/auth_results/dkim/result";
        DKIM_HUMAN = "feedback/record/auth_results/dkim/human_result";
        SPF = "feedback/record/auth_results/spf";
        SPF_DOMAIN = "feedback/record/auth_results/spf/domain";
        SPF_SCOPE = "feedback/record/auth_results/spf/scope";
        SPF_RESULT = "feedback/record/auth_results/spf/result";
        SPF_HUMAN = "feedback/record/auth_results/spf/human_result";
        RESULT = "feedback/record/auth_results/*/result";
        HUMAN = "feedback/record/auth_results/*/human_result";
        RECORD_EXTENSION = "feedback/record/*";
    }
}

/// The standard's writing of a name in any letter case, and its element's path.
pub(super) fn in_any_case(name: &str) -> Option<(&'static str, &'static str)> {
    NAMES.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).copied()
}

/// Whether a name, with or without prefix, is one of the standard's.
pub(super) fn is_standard(raw: &str) -> bool {
    in_any_case(raw.rsplit(':').next().unwrap_or(raw)).is_some()
}
