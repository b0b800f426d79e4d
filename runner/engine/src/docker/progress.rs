//! What the engine reports while it works, line by line.

use bollard::errors::Error as Client;
use futures_util::{Stream, StreamExt as _, future};

/// The reports, up to the last one.
///
/// A report and the end of its line may come in two pieces. The client library takes the report
/// at once, and of the line's end a carriage return stays with it, which it calls an error when
/// the engine has said all. Whether the engine did what it was asked is told by what it said,
/// and by looking.
pub(super) fn reports<T>(
    answer: impl Stream<Item = Result<T, Client>>,
) -> impl Stream<Item = Result<T, Client>> {
    answer.take_while(|step| future::ready(!matches!(step, Err(e) if is_rest(e))))
}

fn is_rest(error: &Client) -> bool {
    // That of `tokio_util::codec::Decoder::decode_eof`.
    matches!(error, Client::IOError { err } if err.to_string() == "bytes remaining on stream")
}

#[cfg(test)]
mod tests {
    use bollard::query_parameters::CreateImageOptionsBuilder;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// Answers one request in these pieces.
    async fn answered(pieces: &'static [&'static str]) -> Vec<Result<String, String>> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                asked.push(stream.read_u8().await.unwrap());
            }
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes()).await.unwrap();
            for piece in pieces.iter().chain([&""]) {
                let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
                stream.write_all(chunk.as_bytes()).await.unwrap();
            }
        });
        let client = bollard::Docker::connect_with_http(
            &format!("tcp://{at}"),
            10,
            bollard::API_DEFAULT_VERSION,
        )
        .unwrap();
        let options = CreateImageOptionsBuilder::default().from_image("a").build();
        let said = reports(client.create_image(Some(options), None, None))
            .map(|step| match step {
                Ok(info) => Ok(info.status.unwrap_or_default()),
                Err(e) => Err(e.to_string()),
            })
            .collect()
            .await;
        server.await.unwrap();
        said
    }

    #[tokio::test]
    async fn the_end_of_a_line_may_come_by_itself() {
        let said = answered(&["{\"status\":\"one\"}\r\n", "{\"status\":\"two\"}", "\r\n"]).await;
        assert_eq!(said, [Ok("one".to_owned()), Ok("two".to_owned())]);
    }

    #[tokio::test]
    async fn what_is_no_report_is_an_error() {
        let said = answered(&["{\"status\":\"one\"}\r\n", "nothing\r\n"]).await;
        assert_eq!(said[0], Ok("one".to_owned()));
        assert!(said[1].is_err(), "{said:?}");
    }
}
