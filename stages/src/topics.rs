//! The names of the topics.

/// Reports as received, bytes untouched: the source of every replay.
pub const RAW: &str = "reports.raw";
/// Reports as columns.
pub const PARSED: &str = "reports.parsed";
/// Reports with country, network and sending service.
pub const ENRICHED: &str = "reports.enriched";
/// Distinct reports, and marks on earlier ones.
pub const DISTINCT: &str = "reports.distinct";
/// Partial sums of the daily rollups.
pub const ROLLUPS: &str = "rollups.daily";
/// What could not be processed, with its bytes.
pub const DEAD_LETTERS: &str = "dead.letters";
