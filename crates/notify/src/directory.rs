//! Mail as files: for machines without a mail server, and to look at.

use std::io;
use std::path::{Path, PathBuf};

use tokio::fs;
use tokio::io::AsyncWriteExt as _;

/// Writes `<name>.eml`, whole or not at all; a second mail of that name replaces the first.
pub(crate) async fn write(directory: &Path, name: &str, mail: &[u8]) -> io::Result<PathBuf> {
    fs::create_dir_all(directory).await?;
    let path = directory.join(format!("{name}.eml"));
    // Hidden and with the process's id, so that readers and other processes leave it alone.
    let partial = directory.join(format!(".{name}.{}.partial", std::process::id()));
    let written = write_whole(&partial, mail).await;
    let renamed = match written {
        Ok(()) => fs::rename(&partial, &path).await,
        Err(error) => Err(error),
    };
    if let Err(error) = renamed {
        // Best effort; the error that matters is the first one.
        let _ = fs::remove_file(&partial).await;
        return Err(error);
    }
    Ok(path)
}

async fn write_whole(path: &Path, mail: &[u8]) -> io::Result<()> {
    let mut file = fs::File::create(path).await?;
    file.write_all(mail).await?;
    file.sync_all().await
}
