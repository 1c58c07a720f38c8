//! Bodies that become much larger when they are decompressed.

use std::io::Write;
use std::sync::OnceLock;

use flate2::write::GzEncoder;
use flate2::{Compress, Compression, FlushCompress};

/// What of zeros is compressed at once, in bytes.
const ZEROS: usize = 1 << 20;

/// The beginning of a gzip stream, and what may follow it any number of times: a mebibyte of zeros in a kibibyte.
pub(super) fn gzip() -> (Vec<u8>, Vec<u8>) {
    // RFC 1952, section 2.3: magic, deflate, no flags, no time, no extra flags, Unix.
    let head = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    let mut compress = Compress::new(Compression::best(), false);
    let mut out = Vec::with_capacity(64 * 1024);
    // A full flush forgets what came before, so that what is written can be repeated.
    let done = compress.compress_vec(&vec![0; ZEROS], &mut out, FlushCompress::Full);
    debug_assert!(done.is_ok() && compress.total_in() == ZEROS as u64);
    (head, out)
}

/// 64 MiB of zeros.
pub(super) fn brotli() -> Vec<u8> {
    static BOMB: OnceLock<Vec<u8>> = OnceLock::new();
    BOMB.get_or_init(|| {
        let mut out = Vec::new();
        let mut writer = brotli::CompressorWriter::new(&mut out, 64 * 1024, 5, 24);
        for _ in 0..64 {
            // Writing into memory does not fail.
            let _ = writer.write_all(&vec![0; ZEROS]);
        }
        drop(writer);
        out
    })
    .clone()
}

/// 64 MiB of zeros, compressed twice: 64 KiB become 64 MiB in the second step.
pub(super) fn twice() -> Vec<u8> {
    static BOMB: OnceLock<Vec<u8>> = OnceLock::new();
    BOMB.get_or_init(|| {
        let zeros = vec![0; ZEROS];
        let once = pressed((0..64).map(|_| zeros.as_slice()));
        pressed(std::iter::once(once.as_slice()))
    })
    .clone()
}

fn pressed<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut writer = GzEncoder::new(Vec::new(), Compression::best());
    for piece in pieces {
        // Writing into memory does not fail.
        let _ = writer.write_all(piece);
    }
    writer.finish().unwrap_or_default()
}
