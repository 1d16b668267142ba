//! The embedded server's folder: can files be written, read back and deleted there, and is its database whole?

use std::{
    io::{self, Read as _, Seek as _, Write as _},
    path::Path,
};

use tokio::time::timeout;

use super::{ANSWER, Findings, postgres};
use crate::{config::Config, embedded, failure::chain, parts};

pub(super) async fn check(config: &Config, findings: &mut Findings) {
    let dir = &config.settings.data_dir;
    if !dir.exists() {
        // It is made with all that is missing above it.
        let above = dir.ancestors().skip(1).find(|above| above.as_os_str().is_empty() || above.exists());
        let above = above.filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        return match try_out(above) {
            Ok(()) => findings.ok("data folder", format_args!("{} will be made on the first start", dir.display())),
            Err(error) => {
                let what = format!("{} cannot be made in {}: {error}", dir.display(), above.display());
                findings.fail("data folder", what, "give that folder to this user, or set STARLING_DATA_DIR");
            }
        };
    }
    writable("data folder", dir, findings);
    let attachments = embedded::attachments(dir);
    if attachments.exists() {
        writable("attachments", &attachments, findings);
    }
    if dir.join("starling.db").exists() {
        store(config, findings).await;
    }
}

fn writable(part: &'static str, dir: &Path, findings: &mut Findings) {
    match try_out(dir) {
        Ok(()) => findings.ok(part, format_args!("a file was written, read and deleted in {}", dir.display())),
        Err(error) => {
            let mend = "give it to this user, make room on the disk, or set STARLING_DATA_DIR";
            findings.fail(part, format_args!("{} cannot be used: {error}", dir.display()), mend);
        }
    }
}

fn try_out(dir: &Path) -> io::Result<()> {
    const TEXT: &[u8] = b"starling check";
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(TEXT)?;
    file.as_file().sync_all()?;
    file.rewind()?;
    let mut back = Vec::new();
    file.read_to_end(&mut back)?;
    if back != TEXT {
        return Err(io::Error::other("what was written does not come back"));
    }
    file.close()
}

async fn store(config: &Config, findings: &mut Findings) {
    let store = match parts::store(config).await {
        Ok(store) => store,
        Err(failure) if failure.to_string().contains("another process uses") => {
            return findings.ok("store", "a server is running on the data folder; ask its /readyz");
        }
        Err(failure) => return findings.fail("store", failure, "see docs/configuration.md"),
    };
    match timeout(ANSWER, store.health()).await {
        Ok(Ok(health)) => postgres::schema(config, &health, findings),
        Ok(Err(error)) => findings.fail("store", chain(&error), "restore the folder from a backup"),
        Err(_) => findings.fail("store", "no answer in time", "is the disk very slow?"),
    }
    let _ = timeout(ANSWER, store.close()).await;
}
