//! From canonical text to the type of a field. A field is called after its key, with underscores for dots, so that
//! whoever knows Kafka's name knows ours.

use model::{BrokerId, TimestampType};

use super::{
    topic::{Cleanup, CompressionType, Durability},
    value,
};

/// Read from a value in force; None as text is null.
pub(super) trait Field: Sized {
    fn read(text: Option<&str>) -> Option<Self>;
}

/// Gives a struct whose fields are keys, and `read`, which fills them from the values in force. The fields after
/// `beside` are no keys and begin at their defaults.
macro_rules! view {
    (
        $(#[$meta:meta])* pub struct $name:ident {
            $($(#[$doc:meta])* $field:ident: $type:ty,)*
        } beside {
            $($(#[$other_doc:meta])* $vis:vis $other:ident: $other_type:ty,)*
        }
    ) => {
        $(#[$meta])*
        pub struct $name {
            $($(#[$other_doc])* $vis $other: $other_type,)*
            $($(#[$doc])* pub $field: $type,)*
        }

        impl $name {
            /// `value` gives the value in force of a key by its name.
            fn read(value: &dyn Fn(&str) -> Option<String>) -> Self {
                Self {
                    $($other: Default::default(),)*
                    $($field: $crate::config::field::read(stringify!($field), value),)*
                }
            }
        }
    };
}
pub(super) use view;

pub(super) fn key_name(field: &str) -> String {
    field.replace('_', ".")
}

/// # Panics
/// If the table allows a value that the field's type cannot hold: they must be changed together.
pub(super) fn read<T: Field>(field: &str, value: &dyn Fn(&str) -> Option<String>) -> T {
    let text = value(&key_name(field));
    T::read(text.as_deref()).unwrap_or_else(|| panic!("the table allows {text:?} for {field}"))
}

macro_rules! parsed {
    ($($type:ty),*) => {$(
        impl Field for $type {
            fn read(text: Option<&str>) -> Option<Self> {
                text?.parse().ok()
            }
        }
    )*};
}
parsed!(i16, i32, i64, f64, String);

impl Field for bool {
    fn read(text: Option<&str>) -> Option<Self> {
        value::parse_bool(text?)
    }
}

impl Field for BrokerId {
    fn read(text: Option<&str>) -> Option<Self> {
        text?.parse().ok().map(BrokerId)
    }
}

impl Field for Vec<String> {
    fn read(text: Option<&str>) -> Option<Self> {
        Some(value::parse_list(text?).into_iter().map(str::to_owned).collect())
    }
}

impl Field for Option<String> {
    fn read(text: Option<&str>) -> Option<Self> {
        Some(text.filter(|text| !text.is_empty()).map(str::to_owned))
    }
}

/// A limit: null and every negative value mean that there is none.
impl Field for Option<i64> {
    fn read(text: Option<&str>) -> Option<Self> {
        match text {
            None => Some(None),
            Some(text) => text.parse().ok().map(|n: i64| (n >= 0).then_some(n)),
        }
    }
}

impl Field for Cleanup {
    fn read(text: Option<&str>) -> Option<Self> {
        let policies = value::parse_list(text?);
        Some(Self { delete: policies.contains(&"delete"), compact: policies.contains(&"compact") })
    }
}

impl Field for Durability {
    fn read(text: Option<&str>) -> Option<Self> {
        match text? {
            "flushed" => Some(Self::Flushed),
            "written" => Some(Self::Written),
            "memory" => Some(Self::Memory),
            _ => None,
        }
    }
}

impl Field for CompressionType {
    fn read(text: Option<&str>) -> Option<Self> {
        match text? {
            "producer" => Some(Self::Producer),
            "uncompressed" => Some(Self::Uncompressed),
            "gzip" => Some(Self::Gzip),
            "snappy" => Some(Self::Snappy),
            "lz4" => Some(Self::Lz4),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }
}

impl Field for TimestampType {
    fn read(text: Option<&str>) -> Option<Self> {
        match text? {
            "CreateTime" => Some(Self::CreateTime),
            "LogAppendTime" => Some(Self::LogAppendTime),
            _ => None,
        }
    }
}
