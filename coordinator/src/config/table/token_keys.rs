//! Keys of logins by OAuth tokens. There are none here: they are checked and shown, so that files made for Kafka just
//! work.

use super::*;
use ValueType::{Password, String};

#[rustfmt::skip]
pub(super) const KEYS: &[ConfigKey] = &[
    string("sasl.oauthbearer.assertion.algorithm", "RS256", "How the broker signs what it asserts of itself to a token's provider.").inert(),
    null("sasl.oauthbearer.assertion.claim.aud", String, "Audience in the assertion.").inert(),
    int("sasl.oauthbearer.assertion.claim.exp.seconds", "300", "How long an assertion is good.").between(0, 86_400).low().inert(),
    null("sasl.oauthbearer.assertion.claim.iss", String, "Issuer in the assertion.").inert(),
    boolean("sasl.oauthbearer.assertion.claim.jti.include", "false", "Whether each assertion carries an id of its own.").inert(),
    int("sasl.oauthbearer.assertion.claim.nbf.seconds", "60", "How long before it was made an assertion is good.").between(0, 3600).low().inert(),
    null("sasl.oauthbearer.assertion.claim.sub", String, "Subject in the assertion.").inert(),
    null("sasl.oauthbearer.assertion.file", String, "File with a finished assertion.").inert(),
    null("sasl.oauthbearer.assertion.private.key.file", String, "File with the key that signs assertions.").inert(),
    null("sasl.oauthbearer.assertion.private.key.passphrase", Password, "Password of the key that signs assertions.").inert(),
    null("sasl.oauthbearer.assertion.template.file", String, "File with the constant parts of an assertion.").inert(),
    null("sasl.oauthbearer.client.credentials.client.id", String, "Name that a token's provider knows.").inert(),
    null("sasl.oauthbearer.client.credentials.client.secret", Password, "Secret that a token's provider knows.").inert(),
    int("sasl.oauthbearer.clock.skew.seconds", "30", "How much the clock of a token's provider may differ.").low().inert(),
    list("sasl.oauthbearer.expected.audience", "", "Audiences that a token may be for.").low().inert(),
    null("sasl.oauthbearer.expected.issuer", String, "Who must have issued a token.").low().inert(),
    long("sasl.oauthbearer.jwks.endpoint.refresh.ms", "3600000", "How often the keys of a token's provider are read.").low().inert(),
    long("sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", "100", "Pause before the keys of a token's provider are read again.").low().inert(),
    long("sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms", "10000", "Longest pause before the keys of a token's provider are read again.").low().inert(),
    null("sasl.oauthbearer.jwks.endpoint.url", String, "Where the keys of a token's provider are.").inert(),
    class("sasl.oauthbearer.jwt.retriever.class", "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever", "Java class that fetches tokens.").inert(),
    class("sasl.oauthbearer.jwt.validator.class", "org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator", "Java class that checks tokens.").inert(),
    null("sasl.oauthbearer.scope", String, "What access a token asks for.").inert(),
    string("sasl.oauthbearer.scope.claim.name", "scope", "What a token's claim of its scope is called.").low().inert(),
    string("sasl.oauthbearer.sub.claim.name", "sub", "What a token's claim of its subject is called.").low().inert(),
    null("sasl.oauthbearer.token.endpoint.url", String, "Where tokens are fetched.").inert(),
];
