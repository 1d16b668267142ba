//! The data folder of the embedded server: its secret, and the folder for attachments.
//!
//! Call it while the store's lock is held: then no second process makes another secret.

use std::{
    fs::{self, DirBuilder},
    io::{ErrorKind, Write as _},
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use crate::Failure;

/// Shortest secret. One that is made here is 32 random bytes, kept as hex.
const SECRET_MIN: usize = 32;

const KEY: &str = "STARLING_DATA_DIR";

/// Where the secret is.
pub(crate) fn secret_path(dir: &Path) -> PathBuf {
    dir.join("secret")
}

/// Where attachments are.
pub(crate) fn attachments(dir: &Path) -> PathBuf {
    dir.join("attachments")
}

/// Makes the folder for attachments.
pub(crate) fn make_attachments(dir: &Path) -> Result<(), Failure> {
    let path = attachments(dir);
    DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(|error| unwritable("make", &path, &error))
}

/// The secret that was made before, if there is one.
pub(crate) fn read_secret(dir: &Path) -> Result<Option<Vec<u8>>, Failure> {
    let path = secret_path(dir);
    let text = match fs::read(&path) {
        Ok(text) => text.trim_ascii().to_vec(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unwritable("read", &path, &error)),
    };
    if text.len() < SECRET_MIN {
        let what = format!("{} holds {} bytes, too few for a secret", path.display(), text.len());
        let mend = "put the old one back, or remove the file: a new one is made, and everybody signs in again";
        return Err(Failure::configuration(KEY, what, mend));
    }
    if fs::metadata(&path).is_ok_and(|meta| meta.permissions().mode() & 0o077 != 0) {
        tracing::warn!(path = %path.display(), "others on this machine can read the secret; chmod 600 it");
    }
    Ok(Some(text))
}

/// The secret, made on the first start, readable by its owner alone.
pub(crate) fn secret(dir: &Path) -> Result<Vec<u8>, Failure> {
    if let Some(secret) = read_secret(dir)? {
        return Ok(secret);
    }
    let path = secret_path(dir);
    let hex = format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>());
    // Whole or not at all, also when the power goes: a half secret would sign everybody out.
    let written = tempfile::NamedTempFile::new_in(dir).and_then(|mut file| {
        file.write_all(hex.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist_noclobber(&path)?;
        fs::File::open(dir)?.sync_all()
    });
    written.map_err(|error| unwritable("write", &path, &error))?;
    tracing::debug!(path = %path.display(), "made a secret");
    Ok(hex.into_bytes())
}

fn unwritable(verb: &str, path: &Path, error: &std::io::Error) -> Failure {
    let what = format!("cannot {verb} {}: {error}", path.display());
    Failure::configuration(KEY, what, "choose a folder that this user can write")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_made_once_and_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let made = secret(dir.path()).unwrap();
        assert_eq!(made.len(), 64);
        assert_eq!(secret(dir.path()).unwrap(), made);
        let mode = fs::metadata(secret_path(dir.path())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_secret_is_refused_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(secret_path(dir.path()), "short").unwrap();
        let failure = secret(dir.path()).unwrap_err();
        assert_eq!(failure.code(), 2);
        assert!(failure.to_string().starts_with("STARLING_DATA_DIR: "), "{failure}");
    }
}
