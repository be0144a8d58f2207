//! Who of a consumer group owns which partition.
//!
//! A partition belongs to the member whose rank is the partition's number modulo the members. Whenever its
//! owner changes its *epoch* rises, so that a member which lost a partition and got it back knows that
//! another one may have worked on it meanwhile.

use std::collections::HashMap;

/// A member of a group.
pub(crate) type MemberId = u64;

/// A partition's owner, and how often it has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ownership {
    pub(crate) member: MemberId,
    pub(crate) epoch: u64,
}

#[derive(Debug, Default)]
struct Group {
    members: Vec<MemberId>,
    owners: Vec<Option<Ownership>>,
}

/// The groups of a process, by group and topic.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    groups: HashMap<(String, &'static str), Group>,
    next: MemberId,
    epoch: u64,
}

impl Groups {
    /// Adds a member to a group that reads a topic.
    pub(crate) fn join(&mut self, group: &str, topic: &'static str, partitions: u32) -> MemberId {
        let id = self.next;
        self.next += 1;
        let entry = self.groups.entry((group.to_owned(), topic)).or_default();
        entry.members.push(id);
        entry.owners.resize(partitions as usize, None);
        entry.share(&mut self.epoch);
        id
    }

    /// Removes a member.
    pub(crate) fn leave(&mut self, group: &str, topic: &'static str, id: MemberId) {
        if let Some(entry) = self.groups.get_mut(&(group.to_owned(), topic)) {
            entry.members.retain(|member| *member != id);
            entry.share(&mut self.epoch);
        }
    }

    /// The partitions that a member owns, with their epochs.
    pub(crate) fn owned(&self, group: &str, topic: &'static str, id: MemberId) -> Vec<(u32, u64)> {
        let Some(entry) = self.groups.get(&(group.to_owned(), topic)) else { return Vec::new() };
        (0..)
            .zip(&entry.owners)
            .filter_map(|(partition, owner)| owner.filter(|o| o.member == id).map(|o| (partition, o.epoch)))
            .collect()
    }

    /// Who owns a partition.
    pub(crate) fn owner(&self, group: &str, topic: &'static str, partition: u32) -> Option<Ownership> {
        *self.groups.get(&(group.to_owned(), topic))?.owners.get(partition as usize)?
    }
}

impl Group {
    fn share(&mut self, epoch: &mut u64) {
        for (partition, owner) in self.owners.iter_mut().enumerate() {
            let rank = partition.checked_rem(self.members.len());
            let member = rank.and_then(|rank| self.members.get(rank)).copied();
            if owner.map(|o| o.member) != member {
                *epoch += 1;
                *owner = member.map(|member| Ownership { member, epoch: *epoch });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_shared_evenly_and_a_return_is_another_epoch() {
        let mut groups = Groups::default();
        let a = groups.join("g", "t", 4);
        let first = groups.owned("g", "t", a);
        assert_eq!(first.len(), 4);
        let b = groups.join("g", "t", 4);
        assert_eq!((groups.owned("g", "t", a).len(), groups.owned("g", "t", b).len()), (2, 2));
        groups.leave("g", "t", b);
        let again = groups.owned("g", "t", a);
        assert_eq!(again.len(), 4);
        assert_eq!(first.iter().filter(|p| again.contains(p)).count(), 2, "two were never given away");
        groups.leave("g", "t", a);
        assert_eq!(groups.owner("g", "t", 0), None);
    }
}
