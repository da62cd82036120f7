//! Which entities a DescribeClientQuotas asks for.

use model::ErrorCode;

use crate::{
    config::value::shorten,
    controller::Refusal,
    metadata::{QuotaEntity, QuotaName},
};

/// What an entity's part of one type must be.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Match {
    Name(QuotaName),
    Any,
}

impl Match {
    fn accepts(&self, name: &QuotaName) -> bool {
        match self {
            Self::Name(wanted) => wanted == name,
            Self::Any => true,
        }
    }
}

/// None: nothing is asked of this type.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct QuotaFilter {
    user: Option<Match>,
    client_id: Option<Match>,
    ip: Option<Match>,
    /// An entity has no parts but those that are asked for.
    strict: bool,
}

impl QuotaFilter {
    /// From components of a request: entity type, match type (exact 0, default 1, any 2), and what to match.
    pub fn read<'a>(
        components: impl IntoIterator<Item = (&'a str, i8, Option<&'a str>)>,
        strict: bool,
    ) -> Result<Self, Refusal> {
        let mut filter = Self { strict, ..Self::default() };
        for (entity_type, match_type, name) in components {
            let place = filter.place_of(entity_type)?;
            if place.is_some() {
                return Err(invalid(format!("The filter names the entity type {entity_type} twice.")));
            }
            *place = Some(read_match(match_type, name)?);
        }
        if filter.ip.is_some() && (filter.user.is_some() || filter.client_id.is_some()) {
            return Err(invalid("A filter for ip cannot ask for user or client-id as well."));
        }
        Ok(filter)
    }

    fn place_of(&mut self, entity_type: &str) -> Result<&mut Option<Match>, Refusal> {
        match entity_type {
            "user" => Ok(&mut self.user),
            "client-id" => Ok(&mut self.client_id),
            "ip" => Ok(&mut self.ip),
            "" => Err(invalid("The filter has an entity type that is empty.")),
            other => {
                let sentence = format!("The entity type {} is not known.", shorten(other));
                Err(Refusal::new(ErrorCode::UnsupportedVersion, sentence))
            }
        }
    }

    pub fn accepts(&self, entity: &QuotaEntity) -> bool {
        let (user, client_id, ip) = match entity {
            QuotaEntity::User(user) => (Some(user), None, None),
            QuotaEntity::ClientId(client_id) => (None, Some(client_id), None),
            QuotaEntity::UserClientId(user, client_id) => (Some(user), Some(client_id), None),
            QuotaEntity::Ip(ip) => (None, None, Some(ip)),
        };
        if self.strict && self.user.is_none() && self.client_id.is_none() && self.ip.is_none() {
            return false;
        }
        [(&self.user, user), (&self.client_id, client_id), (&self.ip, ip)].into_iter().all(
            |(wanted, part)| match (wanted, part) {
                (None, Some(_)) => !self.strict,
                (None, None) => true,
                (Some(wanted), part) => part.is_some_and(|name| wanted.accepts(name)),
            },
        )
    }
}

fn read_match(match_type: i8, name: Option<&str>) -> Result<Match, Refusal> {
    match (match_type, name) {
        (0, Some(name)) => Ok(Match::Name(QuotaName::Named(name.to_owned()))),
        (0, None) => Err(invalid("An exact match needs a name, and the filter gives none.")),
        (1, None) => Ok(Match::Name(QuotaName::Default)),
        (2, None) => Ok(Match::Any),
        (1 | 2, Some(_)) => {
            Err(invalid("Only an exact match has a name, and the filter gives one to another."))
        }
        (other, _) => Err(invalid(format!("{other} is no match type: exact is 0, default 1, any 2."))),
    }
}

fn invalid(sentence: impl Into<String>) -> Refusal {
    Refusal::new(ErrorCode::InvalidRequest, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> QuotaName {
        match name {
            "<default>" => QuotaName::Default,
            name => QuotaName::Named(name.to_owned()),
        }
    }

    /// One of each combination, as `user/client-id`.
    fn entities() -> Vec<(&'static str, QuotaEntity)> {
        let both = |user, client_id| QuotaEntity::UserClientId(name(user), name(client_id));
        vec![
            ("u", QuotaEntity::User(name("u"))),
            ("<u>", QuotaEntity::User(QuotaName::Default)),
            ("c", QuotaEntity::ClientId(name("c"))),
            ("<c>", QuotaEntity::ClientId(QuotaName::Default)),
            ("u/c", both("u", "c")),
            ("u/<c>", both("u", "<default>")),
            ("<u>/c", both("<default>", "c")),
            ("<u>/<c>", both("<default>", "<default>")),
            ("ip", QuotaEntity::Ip(name("10.0.0.1"))),
            ("<ip>", QuotaEntity::Ip(QuotaName::Default)),
        ]
    }

    type Component = (&'static str, i8, Option<&'static str>);

    #[test]
    fn entities_are_found_as_in_apache_kafka() {
        let check = |components: &[Component], loose: &str, strict: &str| {
            for (is_strict, expected) in [(false, loose), (true, strict)] {
                let filter = QuotaFilter::read(components.iter().copied(), is_strict).unwrap();
                let found = entities().into_iter().filter(|(_, e)| filter.accepts(e)).map(|(name, _)| name);
                assert_eq!(found.collect::<Vec<_>>().join(" "), expected, "{components:?} {is_strict}");
            }
        };
        check(&[], "u <u> c <c> u/c u/<c> <u>/c <u>/<c> ip <ip>", "");
        check(&[("user", 0, Some("u"))], "u u/c u/<c>", "u");
        check(&[("user", 1, None)], "<u> <u>/c <u>/<c>", "<u>");
        check(&[("user", 2, None)], "u <u> u/c u/<c> <u>/c <u>/<c>", "u <u>");
        check(&[("client-id", 0, Some("c"))], "c u/c <u>/c", "c");
        check(&[("client-id", 2, None)], "c <c> u/c u/<c> <u>/c <u>/<c>", "c <c>");
        check(&[("user", 0, Some("u")), ("client-id", 0, Some("c"))], "u/c", "u/c");
        check(&[("user", 0, Some("u")), ("client-id", 1, None)], "u/<c>", "u/<c>");
        let all = "u/c u/<c> <u>/c <u>/<c>";
        check(&[("client-id", 2, None), ("user", 2, None)], all, all);
        check(&[("user", 1, None), ("client-id", 2, None)], "<u>/c <u>/<c>", "<u>/c <u>/<c>");
        check(&[("ip", 2, None)], "ip <ip>", "ip <ip>");
        check(&[("ip", 1, None)], "<ip>", "<ip>");
        check(&[("user", 0, Some("nobody"))], "", "");
    }

    #[test]
    fn filters_that_make_no_sense_are_refused() {
        let check = |components: &[Component], expected: ErrorCode| {
            let refusal = QuotaFilter::read(components.iter().copied(), false).unwrap_err();
            assert_eq!(refusal.code, expected, "{components:?}");
            assert!(refusal.message.ends_with('.'));
        };
        check(&[("user", 0, None)], ErrorCode::InvalidRequest);
        check(&[("user", 1, Some("x"))], ErrorCode::InvalidRequest);
        check(&[("user", 2, Some("x"))], ErrorCode::InvalidRequest);
        check(&[("user", 3, None)], ErrorCode::InvalidRequest);
        check(&[("", 0, Some("x"))], ErrorCode::InvalidRequest);
        check(&[("group", 0, Some("x"))], ErrorCode::UnsupportedVersion);
        check(&[("user", 0, Some("x")), ("user", 2, None)], ErrorCode::InvalidRequest);
        check(&[("ip", 0, Some("x")), ("user", 2, None)], ErrorCode::InvalidRequest);
    }
}
