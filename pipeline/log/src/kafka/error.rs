//! What the brokers and librdkafka say, as the errors of this crate.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::LogError;

/// An error of librdkafka while `what` was done.
///
/// A secret can stand in the value of a refused property only, so that value is left out.
pub(super) fn failed(what: &str, error: &KafkaError) -> LogError {
    if let KafkaError::ClientConfig(_, reason, key, _) = error {
        return LogError::Storage(format!(
            "the Kafka property `{key}` cannot be used: {}",
            first_words(reason, key)
        ));
    }
    let what = what.to_owned();
    if is_transient(error) {
        return LogError::Away { what, reason: reason(error) };
    }
    LogError::Storage(format!("{what}: {}", reason(error)))
}

/// librdkafka quotes the refused value in its reason: only what it says before that is kept.
fn first_words(reason: &str, key: &str) -> String {
    let known = ["No such configuration property", "Property is not available"];
    let found = known.iter().find(|k| reason.starts_with(**k)).copied();
    found.map_or_else(|| format!("its value is not one that `{key}` takes"), str::to_owned)
}

/// What happened, in words.
fn reason(error: &KafkaError) -> String {
    match error {
        KafkaError::Transaction(e) => format!("{} ({})", e.string(), e.name()),
        KafkaError::ClientCreation(reason) => first_line(reason),
        other => match other.rdkafka_error_code() {
            Some(code) => code.to_string(),
            None => other.to_string(),
        },
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// Whether it passes by itself: brokers that are away or move leaders and coordinators.
pub(super) fn is_transient(error: &KafkaError) -> bool {
    if let KafkaError::Transaction(e) = error
        && (e.is_retriable() || e.txn_requires_abort())
    {
        return true;
    }
    match error {
        KafkaError::Subscription(_) | KafkaError::Seek(_) | KafkaError::PauseResume(_) => true,
        other => other.rdkafka_error_code().is_some_and(|code| !is_permanent(code)),
    }
}

/// Errors that stay until a person does something.
fn is_permanent(code: Code) -> bool {
    matches!(
        code,
        Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
            | Code::SaslAuthenticationFailed
            | Code::Authentication
            | Code::UnsupportedVersion
            | Code::UnsupportedFeature
            | Code::UnsupportedSASLMechanism
            | Code::InvalidConfig
            | Code::PolicyViolation
            | Code::InvalidReplicationFactor
            | Code::InvalidPartitions
            | Code::MessageSizeTooLarge
            | Code::InvalidRecord
            | Code::InvalidTransactionTimeout
            | Code::FencedInstanceId
    )
}

/// Whether a transaction was refused because its partitions, or its producer, belong to somebody newer.
pub(super) fn is_fence(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::UnknownMemberId
                | Code::IllegalGeneration
                | Code::RebalanceInProgress
                | Code::FencedInstanceId
                | Code::ProducerFenced
                | Code::Fenced
                | Code::InvalidProducerEpoch
                | Code::UnknownProducerId
                | Code::InvalidProducerIdMapping
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_property_is_named_without_its_value() {
        let error = rdkafka::ClientConfig::new()
            .set("sasl.mechanism", "PLAIN")
            .set("security.protocol", "hunter2")
            .create_native_config()
            .err()
            .unwrap();
        let text = failed("connecting", &error).to_string();
        assert!(text.contains("security.protocol") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn what_passes_is_told_from_what_stays() {
        assert!(failed("x", &KafkaError::MetadataFetch(Code::AllBrokersDown)).is_transient());
        assert!(!failed("x", &KafkaError::MetadataFetch(Code::TopicAuthorizationFailed)).is_transient());
    }
}
