//! What lies in a repository: a folder, or one that a web server serves.

use anyhow::{Context, bail, ensure};
use axum::body::Body;
use axum::http::{Method, Response, StatusCode, Uri};
use futures_util::StreamExt as _;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::UpdateConfig;
use super::index::{INDEX, PACKAGES, Release};
use super::slot::sha256;
use crate::notify::{http_ask as ask, http_fetch as fetch};

/// From one chunk to the next, and for a whole index.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why something did not come.
pub(super) enum Failure {
    /// Nobody is there: it is tried again by itself.
    Unreachable(anyhow::Error),
    /// What came is not as it should be.
    Refused(anyhow::Error),
}

/// The index, as it lies there. It is not looked at yet.
pub(super) async fn index(config: &UpdateConfig) -> Result<Vec<u8>, Failure> {
    let read = async {
        let Some(url) = url(config, INDEX)? else {
            let path = Path::new(&config.repository).join(INDEX);
            return fs::read(&path).with_context(|| format!("{} cannot be read", path.display()));
        };
        let asked = ask(Method::GET, &url, config.ca.as_deref(), "application/json", &[], Vec::new());
        let answer = tokio::time::timeout(PATIENCE, asked).await.context("no answer in time")??;
        ensure!(answer.status == StatusCode::OK, "{url} is answered with {}", answer.status);
        Ok(answer.body)
    };
    read.await.map_err(Failure::Unreachable)
}

fn url(config: &UpdateConfig, name: &str) -> anyhow::Result<Option<Uri>> {
    if !config.repository.starts_with("http://") && !config.repository.starts_with("https://") {
        return Ok(None);
    }
    let url = format!("{}/{name}", config.repository.trim_end_matches('/'));
    Ok(Some(url.parse().with_context(|| format!("{url} is no address"))?))
}

/// Fetches a package into `incoming`, and goes on where it was cut off. What is given back is whole.
pub(super) async fn package(config: &UpdateConfig, incoming: &Path, release: &Release) -> Result<PathBuf, Failure> {
    let refused = |error: anyhow::Error| Failure::Refused(error);
    let is_name = !release.file.is_empty() && !release.file.starts_with('.') && !release.file.contains(['/', '\\']);
    if !is_name {
        return Err(refused(anyhow::anyhow!("`{}` is no name of a package", release.file)));
    }
    crate::private::make_data_dir(incoming).map_err(refused)?;
    let part =
        incoming.join(format!("{}.part", release.sha256.chars().filter(char::is_ascii_hexdigit).collect::<String>()));
    let name = format!("{PACKAGES}/{}", release.file);
    match url(config, &name).map_err(refused)? {
        Some(url) => download(&url, config.ca.as_deref(), &part, release.bytes).await.map_err(Failure::Unreachable)?,
        None => {
            let (from, to, bytes) = (Path::new(&config.repository).join(&name), part.clone(), release.bytes);
            let copied = tokio::task::spawn_blocking(move || copy(&from, &to, bytes)).await;
            copied.map_err(anyhow::Error::from).and_then(|copied| copied).map_err(Failure::Unreachable)?;
        }
    }
    let check = {
        let (part, release) = (part.clone(), release.clone());
        move || {
            let (bytes, hash) = (fs::metadata(&part)?.len(), sha256(&part)?);
            if bytes != release.bytes || hash != release.sha256 {
                fs::remove_file(&part)?;
                bail!("the package {} is damaged: it has {bytes} bytes and SHA-256 {hash}", release.file);
            }
            Ok(File::open(&part)?.sync_all()?)
        }
    };
    let checked = tokio::task::spawn_blocking(check).await;
    checked.map_err(anyhow::Error::from).and_then(|checked| checked).map_err(refused)?;
    Ok(part)
}

fn open(part: &Path) -> anyhow::Result<File> {
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(part);
    file.with_context(|| format!("{} cannot be written", part.display()))
}

fn copy(from: &Path, to: &Path, bytes: u64) -> anyhow::Result<()> {
    let source = File::open(from).with_context(|| format!("{} cannot be read", from.display()))?;
    let mut file = open(to)?;
    file.set_len(0)?;
    // One more than there should be shows that there is more.
    std::io::copy(&mut source.take(bytes.saturating_add(1)), &mut file)?;
    Ok(())
}

async fn download(url: &Uri, ca: Option<&Path>, part: &Path, bytes: u64) -> anyhow::Result<()> {
    let mut file = open(part)?;
    let have = file.metadata()?.len();
    if have == bytes {
        return Ok(());
    }
    let range = if have > 0 && have < bytes { vec![("range", format!("bytes={have}-"))] } else { Vec::new() };
    let take = move |answer: Response<Body>| async move {
        let mut have = match answer.status() {
            StatusCode::PARTIAL_CONTENT if starts_at(&answer, have) => have,
            // It gives the whole, asked for or not.
            StatusCode::OK => {
                file.set_len(0)?;
                0
            }
            status => bail!("the package is answered with {status}"),
        };
        let mut chunks = answer.into_body().into_data_stream();
        while let Some(chunk) = tokio::time::timeout(PATIENCE, chunks.next()).await.context("nothing more comes")? {
            let chunk = chunk.context("the download broke")?;
            have += chunk.len() as u64;
            ensure!(have <= bytes, "more comes than the {bytes} bytes of the package");
            file.write_all(&chunk)?;
        }
        ensure!(have == bytes, "the download broke after {have} of {bytes} bytes");
        Ok(())
    };
    fetch(url, ca, &range, take).await
}

fn starts_at(answer: &Response<Body>, have: u64) -> bool {
    let range = answer.headers().get("content-range").and_then(|value| value.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {have}-")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    /// Answers one request, and gives what was asked.
    async fn serve(listener: &tokio::net::TcpListener, answer: &[u8]) -> String {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = vec![0; 4096];
        let read = stream.read(&mut asked).await.unwrap();
        stream.write_all(answer).await.unwrap();
        String::from_utf8_lossy(&asked[..read]).to_lowercase()
    }

    #[tokio::test]
    async fn a_torn_download_goes_on_where_it_was_cut_off_and_more_than_was_signed_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let part = dir.path().join("x.part");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: Uri = format!("http://{}/packages/x", listener.local_addr().unwrap()).parse().unwrap();
        let torn = serve(&listener, b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n01234");
        let (asked, got) = tokio::join!(torn, download(&url, None, &part, 10));
        assert!(got.is_err() && !asked.contains("range:"), "{asked}");
        assert_eq!(fs::read(&part).unwrap(), b"01234");
        let rest = serve(
            &listener,
            b"HTTP/1.1 206 Partial Content\r\ncontent-range: bytes 5-9/10\r\ncontent-length: 5\r\n\r\n56789",
        );
        let (asked, got) = tokio::join!(rest, download(&url, None, &part, 10));
        got.unwrap();
        assert!(asked.contains("range: bytes=5-"), "{asked}");
        assert_eq!(fs::read(&part).unwrap(), b"0123456789");
        fs::write(&part, "abc").unwrap();
        let more = serve(&listener, b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n0123456789ab");
        let (_, got) = tokio::join!(more, download(&url, None, &part, 10));
        assert!(got.unwrap_err().to_string().contains("more comes"), "a server without ranges begins anew");
    }
}
