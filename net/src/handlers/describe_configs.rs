//! DescribeConfigs. 1 adds where a value comes from, 3 its type and documentation.
//!
//! Every key is listed with its default, source and synonyms: clients read, change and write back. Keys null or empty
//! mean all of them. Below version 3 the source stands where older versions had whether it is the default.

use std::{collections::BTreeSet, rc::Rc};

use coordinator::{
    Refusal,
    config::{
        ConfigEntry,
        describe::{describe, describe_client_metrics},
    },
    controller::configs::config_resource,
};
use engine::Disk;
use model::ErrorCode;

use super::{Handled, Step, configs, loggers};
use crate::{
    request::Request,
    shard::Shard,
    wire::messages::describe_configs::{
        DescribeConfigsResourceResult, DescribeConfigsResourceView, DescribeConfigsResult,
        DescribeConfigsSynonym, RequestView, Response,
    },
};

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    let mut seen = BTreeSet::new();
    // Each resource once: the answer is many times as large as the question.
    let asked: Vec<_> = view
        .resources
        .iter()
        .filter(|asked| seen.insert((asked.resource_type, asked.resource_name)))
        .collect();
    let found: Vec<_> = asked.iter().map(|asked| find(shard, asked)).collect();
    let results = asked.iter().zip(&found).map(|(asked, found)| entry(&view, asked, found)).collect();
    Ok(Step::answer(&request, &Response { results, ..Response::default() }))
}

enum Found {
    Entries(Vec<ConfigEntry>),
    Loggers(Vec<DescribeConfigsResourceResult<'static>>),
}

fn find<D: Disk>(shard: &Shard<D>, asked: &DescribeConfigsResourceView<'_>) -> Result<Found, Refusal> {
    let mut entries = match asked.resource_type {
        configs::BROKER_LOGGER => return loggers::describe(shard, asked).map(Found::Loggers),
        configs::CLIENT_METRICS if asked.resource_name.is_empty() => {
            let sentence = "The subscription's name is empty; name one.";
            return Err(Refusal::new(ErrorCode::InvalidRequest, sentence));
        }
        configs::CLIENT_METRICS => describe_client_metrics(),
        configs::TOPIC if asked.resource_name.is_empty() => {
            let sentence = "The topic's name is empty; name a topic.";
            return Err(Refusal::new(ErrorCode::InvalidTopicException, sentence));
        }
        kind => {
            let resource = config_resource(kind, asked.resource_name)?;
            describe(&resource, &shard.local_image(), &shard.config())?
        }
    };
    if let Some(keys) = asked.configuration_keys.filter(|keys| !keys.is_empty()) {
        let mut keys: Vec<&str> = keys.iter().collect();
        keys.sort_unstable();
        entries.retain(|entry| keys.binary_search(&entry.name).is_ok());
    }
    Ok(Found::Entries(entries))
}

fn entry<'a>(
    view: &RequestView<'_>,
    asked: &DescribeConfigsResourceView<'a>,
    found: &'a Result<Found, Refusal>,
) -> DescribeConfigsResult<'a> {
    let (error_code, error_message, configs) = match found {
        Ok(Found::Entries(entries)) => (0, "", entries.iter().map(|entry| config(view, entry)).collect()),
        Ok(Found::Loggers(loggers)) => (0, "", loggers.clone()),
        Err(refusal) => (refusal.code.code(), &*refusal.message, Vec::new()),
    };
    DescribeConfigsResult {
        error_code,
        error_message: Some(error_message.into()),
        resource_type: asked.resource_type,
        resource_name: asked.resource_name.into(),
        configs,
    }
}

fn config<'a>(view: &RequestView<'_>, entry: &'a ConfigEntry) -> DescribeConfigsResourceResult<'a> {
    let synonym = |synonym: &'a coordinator::config::ConfigSynonym| DescribeConfigsSynonym {
        name: synonym.name.into(),
        value: synonym.value.as_deref().map(Into::into),
        source: synonym.source as i8,
    };
    let synonyms =
        if view.include_synonyms { entry.synonyms.iter().map(synonym).collect() } else { Vec::new() };
    DescribeConfigsResourceResult {
        name: entry.name.into(),
        value: entry.value.as_deref().map(Into::into),
        read_only: entry.read_only,
        config_source: entry.source as i8,
        is_sensitive: entry.sensitive,
        synonyms,
        config_type: entry.kind as i8,
        documentation: view.include_documentation.then(|| (&*entry.documentation).into()),
    }
}
