//! A log in memory: for tests, and as the model that the other backends are compared with.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock};

use crate::LogError;
use crate::core::Core;
use crate::store::{Space, Store, Write};

/// A log that ends with the process.
pub type MemoryLog = Core<Memory>;

/// Ordered maps.
#[derive(Debug, Default)]
pub struct Memory(RwLock<Map>);

type Map = BTreeMap<(Space, Vec<u8>), Vec<u8>>;

impl MemoryLog {
    /// An empty log.
    pub fn new() -> Result<Self, LogError> {
        Self::over(Memory::default(), "memory")
    }
}

impl Store for Memory {
    fn open_topic(&self, _: &'static str, _: bool) -> Result<(), LogError> {
        Ok(())
    }

    fn apply(&self, writes: Vec<Write>) -> Result<(), LogError> {
        let mut map = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for Write { space, key, value } in writes {
            match value {
                Some(value) => drop(map.insert((space, key), value)),
                None => drop(map.remove(&(space, key))),
            }
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), LogError> {
        Ok(())
    }

    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, LogError> {
        let map = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Ok(map.get(&(space, key.to_vec())).cloned())
    }

    fn range(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        each: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), LogError> {
        let map = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let from = Bound::Included((space, from.to_vec()));
        for ((at, key), value) in map.range((from, Bound::Unbounded)) {
            if *at != space || !to.is_empty() && key.as_slice() >= to || !each(key, value) {
                break;
            }
        }
        Ok(())
    }

    fn size_of(&self, space: Space, key: &[u8]) -> Result<Option<u64>, LogError> {
        Ok(self.get(space, key)?.map(|value| value.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_contract_holds_in_memory() {
        crate::contract::suite(|| super::MemoryLog::new().unwrap());
    }
}
