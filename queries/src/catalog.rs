//! What names mean in a query: the lake's tables, each at one version, and the views over them.
//!
//! A catalog is made for one query. The first mention of a table fixes its version, so that every part of the
//! query, views included, sees the same rows.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList, SchemaProvider,
    TableProvider,
};
use datafusion::datasource::ViewTable;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SessionState;
use datafusion::logical_expr::TableType;
use dmarcflow_schemas::TABLES;
use tokio::sync::Mutex;

use crate::table::CurrentTable;

pub(crate) const CATALOG: &str = "lake";
pub(crate) const SCHEMA: &str = "main";

/// The views: name and definition.
pub(crate) const VIEWS: &[(&str, &str)] = &[
    ("record_dkim", include_str!("../views/record_dkim.sql")),
    ("record_spf", include_str!("../views/record_spf.sql")),
    ("record_reasons", include_str!("../views/record_reasons.sql")),
    ("report_repairs", include_str!("../views/report_repairs.sql")),
];

/// The lake's tables by name.
pub(crate) type Tables = HashMap<&'static str, CurrentTable>;

/// Every name that a query may mention.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    TABLES.iter().map(|table| table.name).chain(VIEWS.iter().map(|(name, _)| *name))
}

/// The state for one query: `base` with a catalog of its own.
pub(crate) fn for_query(base: &SessionState, tables: &Arc<Tables>) -> Result<SessionState> {
    let pinned = Arc::new(Pinned { tables: Arc::clone(tables), seen: Mutex::new(HashMap::new()) });
    let mut planner = base.clone();
    planner.register_catalog_list(list(Arc::new(Names { pinned: Arc::clone(&pinned), planner: None }))?);
    let mut state = base.clone();
    state.register_catalog_list(list(Arc::new(Names { pinned, planner: Some(planner) }))?);
    Ok(state)
}

fn list(names: Arc<dyn SchemaProvider>) -> Result<Arc<dyn CatalogProviderList>> {
    let catalog = MemoryCatalogProvider::new();
    catalog.register_schema(SCHEMA, names)?;
    let list = MemoryCatalogProviderList::new();
    list.register_catalog(CATALOG.to_owned(), Arc::new(catalog));
    Ok(Arc::new(list))
}

/// The tables at the versions that this query has seen first.
#[derive(Debug)]
struct Pinned {
    tables: Arc<Tables>,
    seen: Mutex<HashMap<&'static str, Arc<dyn TableProvider>>>,
}

impl Pinned {
    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let Some((name, table)) = self.tables.get_key_value(name) else { return Ok(None) };
        let mut seen = self.seen.lock().await;
        if let Some(provider) = seen.get(name) {
            return Ok(Some(Arc::clone(provider)));
        }
        let provider = table.provider().await.map_err(|e| DataFusionError::External(Box::new(e)))?;
        seen.insert(name, Arc::clone(&provider));
        Ok(Some(provider))
    }
}

/// The names of one query.
#[derive(Debug)]
struct Names {
    pinned: Arc<Pinned>,
    /// Plans the views; absent in the planner itself, whose queries are the views.
    planner: Option<SessionState>,
}

#[async_trait]
impl SchemaProvider for Names {
    fn table_names(&self) -> Vec<String> {
        names().map(str::to_owned).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        match (&self.planner, VIEWS.iter().find(|(view, _)| *view == name)) {
            (Some(planner), Some((_, sql))) => {
                let plan = planner.create_logical_plan(sql).await?;
                Ok(Some(Arc::new(ViewTable::new(plan, Some((*sql).to_owned())))))
            }
            _ => self.pinned.table(name).await,
        }
    }

    async fn table_type(&self, name: &str) -> Result<Option<TableType>> {
        let view = VIEWS.iter().any(|(view, _)| *view == name);
        Ok(self.table_exist(name).then_some(if view { TableType::View } else { TableType::Base }))
    }

    fn table_exist(&self, name: &str) -> bool {
        names().any(|known| known == name)
    }
}
