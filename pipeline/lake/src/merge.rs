//! Sorted files merged into one sorted stream, in bounded memory.
//!
//! Each input is decoded some rows at a time; the output has the order of [`Order`], equal keys of a
//! table of sums added up. Inputs that compare equal come in the order in which they were given.

use std::cmp::Ordering;
use std::collections::VecDeque;

use arrow::array::RecordBatch;
use arrow::compute::{concat_batches, interleave_record_batch};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows};
use futures::StreamExt;

use crate::error::Cause;
use crate::read::Batches;
use crate::rows::Order;

/// Rows of a batch of the output.
const OUTPUT_ROWS: usize = 4096;

/// See the module.
pub(crate) struct Merge<'a> {
    order: &'a Order,
    converter: RowConverter,
    inputs: Vec<Input>,
    /// Inputs that have rows left, by their next row.
    queue: VecDeque<usize>,
    started: bool,
    /// The last row of what was given out: its sum may go on.
    held: Option<RecordBatch>,
}

struct Input {
    batches: Batches,
    current: Option<Current>,
}

struct Current {
    batch: RecordBatch,
    keys: Rows,
    next: usize,
}

impl<'a> Merge<'a> {
    pub(crate) fn new(order: &'a Order, inputs: Vec<Batches>) -> Result<Self, Cause> {
        let inputs = inputs.into_iter().map(|batches| Input { batches, current: None }).collect();
        Ok(Self {
            order,
            converter: order.converter()?,
            inputs,
            queue: VecDeque::new(),
            started: false,
            held: None,
        })
    }

    /// The next rows, or none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<RecordBatch>, Cause> {
        if !self.started {
            self.started = true;
            for input in 0..self.inputs.len() {
                self.refill(input).await?;
                self.enqueue(input);
            }
        }
        loop {
            let Some(merged) = self.window().await? else { return Ok(self.held.take()) };
            let Some(ready) = self.hold_back(merged)? else { continue };
            return Ok(Some(ready));
        }
    }

    /// The next rows of all inputs together: as many as come before one of them has to be read on,
    /// and no more than an output batch.
    async fn window(&mut self) -> Result<Option<RecordBatch>, Cause> {
        let mut take = Vec::with_capacity(OUTPUT_ROWS);
        let mut ended = None;
        while take.len() < OUTPUT_ROWS
            && let Some(input) = self.queue.pop_front()
        {
            let Some(current) = &mut self.inputs[input].current else { continue };
            take.push((input, current.next));
            current.next += 1;
            if current.next == current.batch.num_rows() {
                ended = Some(input);
                break;
            }
            self.enqueue(input);
        }
        if take.is_empty() {
            return Ok(None);
        }
        let merged = self.interleave(&mut take)?;
        if let Some(input) = ended {
            self.refill(input).await?;
            self.enqueue(input);
        }
        Ok(Some(merged))
    }

    /// The rows that `take` names by input and row. Inputs without a batch are left out of the numbering.
    fn interleave(&self, take: &mut [(usize, usize)]) -> Result<RecordBatch, ArrowError> {
        let mut batches = Vec::with_capacity(self.inputs.len());
        let mut numbers = vec![0; self.inputs.len()];
        for (n, input) in self.inputs.iter().enumerate() {
            if let Some(current) = &input.current {
                numbers[n] = batches.len();
                batches.push(&current.batch);
            }
        }
        for (input, _) in take.iter_mut() {
            *input = numbers[*input];
        }
        interleave_record_batch(&batches, take)
    }

    async fn refill(&mut self, input: usize) -> Result<(), Cause> {
        let source = &mut self.inputs[input];
        source.current = None;
        while let Some(batch) = source.batches.next().await {
            let batch = batch?;
            if batch.num_rows() > 0 {
                let keys = self.order.keys(&self.converter, &batch)?;
                source.current = Some(Current { batch, keys, next: 0 });
                break;
            }
        }
        Ok(())
    }

    /// Puts an input back in the queue, at the place of its next row.
    fn enqueue(&mut self, input: usize) {
        if self.inputs[input].current.is_none() {
            return;
        }
        let place = self.queue.partition_point(|&other| self.compare(other, input) == Ordering::Less);
        self.queue.insert(place, input);
    }

    fn compare(&self, a: usize, b: usize) -> Ordering {
        let row =
            |input: usize| self.inputs[input].current.as_ref().map(|current| current.keys.row(current.next));
        row(a).cmp(&row(b)).then(a.cmp(&b))
    }

    /// Adds up the rows of a table of sums, and keeps the last one back until the next one is known
    /// to be another.
    fn hold_back(&mut self, merged: RecordBatch) -> Result<Option<RecordBatch>, ArrowError> {
        if !self.order.sums() {
            return Ok(Some(merged));
        }
        let merged = match self.held.take() {
            Some(held) => concat_batches(&merged.schema(), [&held, &merged])?,
            None => merged,
        };
        let summed = self.order.collapse(merged)?;
        let last = summed.num_rows() - 1;
        self.held = Some(summed.slice(last, 1));
        Ok((last > 0).then(|| summed.slice(0, last)))
    }
}
