//! DescribeConfigs. 1 adds where a value comes from, 3 its type and documentation.
//!
//! Every key is listed with its default, source and synonyms: clients read, change and write back. Keys null or empty
//! mean all of them. Below version 3 the source stands where older versions had whether it is the default.

use std::{collections::BTreeSet, rc::Rc};

use coordinator::{
    Refusal,
    config::{ConfigEntry, describe::describe},
};
use engine::Disk;

use super::{Handled, Step, configs::resource};
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

fn find<D: Disk>(
    shard: &Shard<D>,
    asked: &DescribeConfigsResourceView<'_>,
) -> Result<Vec<ConfigEntry>, Refusal> {
    let resource = resource(asked.resource_type, asked.resource_name)?;
    let mut entries = describe(&resource, &shard.local_image(), &shard.config())?;
    if let Some(keys) = asked.configuration_keys.filter(|keys| !keys.is_empty()) {
        let mut keys: Vec<&str> = keys.iter().collect();
        keys.sort_unstable();
        entries.retain(|entry| keys.binary_search(&entry.name).is_ok());
    }
    Ok(entries)
}

fn entry<'a>(
    view: &RequestView<'_>,
    asked: &DescribeConfigsResourceView<'a>,
    found: &'a Result<Vec<ConfigEntry>, Refusal>,
) -> DescribeConfigsResult<'a> {
    let (resource_type, resource_name) = (asked.resource_type, asked.resource_name.into());
    let result = DescribeConfigsResult { resource_type, resource_name, ..Default::default() };
    match found {
        Ok(entries) => DescribeConfigsResult {
            configs: entries.iter().map(|entry| config(view, entry)).collect(),
            ..result
        },
        Err(refusal) => DescribeConfigsResult {
            error_code: refusal.code.code(),
            error_message: Some((&*refusal.message).into()),
            ..result
        },
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
