//! `jetstream`.

use super::{Reader, set, top, unserved};
use crate::options::{BatchLimits, Cipher, JetStream, JetStreamLimits, Options, SyncInterval};
use crate::value::{Entry, Value};

/// Reads and writes of files that may go on at the same time.
const CONCURRENT_IO_RANGE: std::ops::RangeInclusive<i64> = 4..=8192;

impl Reader<'_> {
    pub fn jetstream(&mut self, entry: &Entry, options: &mut Options) {
        let Value::Map(map) = &entry.value.value else {
            match top::switch(&entry.value.value) {
                Some(enabled) => options.jetstream.enabled = enabled,
                None => {
                    let expected = "true, false, enabled, disabled or a block";
                    self.wrong_kind(&entry.key, &entry.value, expected);
                }
            }
            return;
        };
        // A block turns JetStream on, unless it says otherwise.
        options.jetstream.enabled = true;
        for entry in &map.entries {
            let key = entry.key.to_ascii_lowercase();
            if matches!(key.as_str(), "store" | "store_dir" | "storedir") {
                self.store_dir(entry, options);
                continue;
            }
            if key == "tpm" {
                unserved::read_tpm(self, entry, options);
                continue;
            }
            let jetstream = &mut options.jetstream;
            if !self.jetstream_storage(&key, entry, jetstream)
                && !self.jetstream_queues(&key, entry, jetstream)
            {
                self.unknown(entry);
            }
        }
    }

    fn jetstream_storage(&mut self, key: &str, entry: &Entry, jetstream: &mut JetStream) -> bool {
        match key {
            "enable" | "enabled" => set(&mut jetstream.enabled, self.boolean(entry)),
            "strict" => set(&mut jetstream.strict, self.boolean(entry)),
            "sync" | "sync_interval" => set(&mut jetstream.sync_interval, self.sync(entry)),
            "max_memory_store" | "max_mem_store" | "max_mem" => {
                set(&mut jetstream.max_memory_bytes, self.size_limit(entry));
            }
            "max_file_store" | "max_file" => {
                set(&mut jetstream.max_store_bytes, self.size_limit(entry));
            }
            "domain" => set(&mut jetstream.domain, self.text(entry)),
            "unique_tag" => {
                let tag = self.text(entry);
                let tag = tag.map(|tag| tag.map(|tag| tag.trim().to_lowercase()));
                set(&mut jetstream.unique_tag, tag);
            }
            "key" | "ek" | "encryption_key" => {
                set(&mut jetstream.encryption_key, self.text(entry));
            }
            "prev_key" | "prev_ek" | "prev_encryption_key" => {
                set(&mut jetstream.previous_encryption_key, self.text(entry));
            }
            "cipher" => set(&mut jetstream.cipher, self.cipher(entry).map(Some)),
            "extension_hint" => set(&mut jetstream.extension_hint, self.text(entry)),
            "limits" => set(&mut jetstream.limits, self.jetstream_limits(entry)),
            _ => return false,
        }
        true
    }

    fn jetstream_queues(&mut self, key: &str, entry: &Entry, jetstream: &mut JetStream) -> bool {
        match key {
            "max_outstanding_catchup" => {
                set(
                    &mut jetstream.max_outstanding_catchup_bytes,
                    self.nonzero_size(entry),
                );
            }
            "max_buffered_size" => {
                set(&mut jetstream.max_buffered_bytes, self.nonzero_size(entry));
            }
            "max_buffered_msgs" => {
                set(
                    &mut jetstream.max_buffered_messages,
                    self.nonzero::<u64>(entry),
                );
            }
            "request_queue_limit" => {
                set(
                    &mut jetstream.request_queue_limit,
                    self.nonzero::<u64>(entry),
                );
            }
            "info_queue_limit" => {
                set(
                    &mut jetstream.info_queue_limit,
                    self.nonzero::<u64>(entry).map(Some),
                );
            }
            "meta_compact" => {
                let size = self
                    .number::<u64>(entry)
                    .map(|size| Some(size).filter(|&s| s > 0));
                set(&mut jetstream.meta_compact, size);
            }
            "meta_compact_size" => {
                set(
                    &mut jetstream.meta_compact_bytes,
                    self.nonzero_size(entry).map(Some),
                );
            }
            "meta_compact_sync" => set(&mut jetstream.meta_compact_sync, self.boolean(entry)),
            "max_concurrent_io" => {
                set(&mut jetstream.max_concurrent_io, self.concurrent_io(entry));
            }
            _ => return false,
        }
        true
    }

    fn sync(&mut self, entry: &Entry) -> Option<SyncInterval> {
        match &entry.value.value {
            Value::String(text) if text.eq_ignore_ascii_case("always") => {
                Some(SyncInterval::Always)
            }
            _ => self.duration(entry).map(SyncInterval::Every),
        }
    }

    /// A size for which anything negative means that the server finds its own.
    fn size_limit(&mut self, entry: &Entry) -> Option<Option<u64>> {
        self.size(entry).map(|size| u64::try_from(size).ok())
    }

    fn nonzero_size(&mut self, entry: &Entry) -> Option<u64> {
        let size = self.size(entry)?;
        if size < 0 {
            let reason = format!("{:?} can not be negative: {size}", entry.key);
            self.problem(&entry.value.position, reason);
        }
        u64::try_from(size).ok().filter(|&size| size > 0)
    }

    fn concurrent_io(&mut self, entry: &Entry) -> Option<u32> {
        let count = self.integer(entry)?;
        if !CONCURRENT_IO_RANGE.contains(&count) {
            let reason = format!("{:?} must be between 4 and 8192, got {count}", entry.key);
            self.problem(&entry.value.position, reason);
            return None;
        }
        u32::try_from(count).ok()
    }

    fn cipher(&mut self, entry: &Entry) -> Option<Cipher> {
        let name = self.string(entry)?;
        match name.to_ascii_lowercase().as_str() {
            "chacha" | "chachapoly" => Some(Cipher::ChaCha),
            "aes" => Some(Cipher::Aes),
            _ => {
                self.problem(
                    &entry.value.position,
                    format!("Unknown cipher type: {name:?}"),
                );
                None
            }
        }
    }

    fn jetstream_limits(&mut self, entry: &Entry) -> Option<JetStreamLimits> {
        let map = self.map(entry)?;
        let mut limits = JetStreamLimits::default();
        for entry in &map.entries {
            match entry.key.to_ascii_lowercase().as_str() {
                "max_ack_pending" => set(&mut limits.max_ack_pending, self.positive_limit(entry)),
                "max_ha_assets" => set(&mut limits.max_ha_assets, self.positive_limit(entry)),
                "max_request_batch" => {
                    set(&mut limits.max_request_batch, self.positive_limit(entry));
                }
                // Zero is the default here, and negative no limit.
                "default_max_consumers" => {
                    let max = self.limit(entry).filter(|max| *max != Some(0));
                    set(&mut limits.default_max_consumers, max);
                }
                "duplicate_window" => {
                    set(
                        &mut limits.duplicate_window,
                        self.duration_string(entry).map(Some),
                    );
                }
                "batch" => set(&mut limits.batch, self.batch_limits(entry)),
                _ => self.unknown(entry),
            }
        }
        Some(limits)
    }

    fn batch_limits(&mut self, entry: &Entry) -> Option<BatchLimits> {
        let map = self.map(entry)?;
        let mut limits = BatchLimits::default();
        for entry in &map.entries {
            match entry.key.to_ascii_lowercase().as_str() {
                "max_inflight_per_stream" => {
                    set(
                        &mut limits.max_inflight_per_stream,
                        self.nonzero::<u64>(entry),
                    );
                }
                "max_inflight_total" => {
                    set(&mut limits.max_inflight_total, self.nonzero::<u64>(entry));
                }
                "max_msgs" => set(&mut limits.max_messages, self.nonzero::<u64>(entry)),
                "timeout" => {
                    let timeout = self
                        .duration_string(entry)
                        .filter(|timeout| !timeout.is_zero());
                    set(&mut limits.timeout, timeout);
                }
                _ => self.unknown(entry),
            }
        }
        Some(limits)
    }
}
