//! Mode `stub`: answers for an external service that the stack must not reach.

mod answer;
mod log;
pub mod mail;
mod matching;
mod raw;
mod serve;
mod template;
mod tls;

use std::net::Ipv4Addr;
use std::rc::Rc;

use prodmirror_agent::wire::{Event, ListenConfig, Ready, StubConfig};
use tokio::net::TcpListener;
use tokio::task::LocalSet;

use crate::output::{Failure, emit};
use answer::Answers;
use log::Log;
use serve::Stub;

/// Listens on every port, says so, and answers until the program is stopped.
pub async fn run(config: StubConfig) -> Result<u8, Failure> {
    let stub = Rc::new(Stub {
        name: config.name.clone(),
        answers: Answers::compile(&config).map_err(Failure::usage)?,
        log: Log::new(config.keep),
        mail: Rc::default(),
    });
    let local = LocalSet::new();
    if config.listen.iter().any(|listen| listen.mail.is_some()) {
        let control = mail::control(Rc::clone(&stub.mail))
            .map_err(|error| Failure::new("the messages cannot be offered", error))?;
        local.spawn_local(control);
    }
    for listen in &config.listen {
        let task = port(Rc::clone(&stub), listen).await?;
        local.spawn_local(task);
    }
    emit(&Event::Ready(Ready {
        name: Some(config.name),
        ports: Some(config.listen.iter().map(|listen| listen.port).collect()),
        ..Ready::new("stub")
    }));
    local.run_until(std::future::pending()).await
}

/// Binds a port; gives the task that serves it.
async fn port(
    stub: Rc<Stub>,
    listen: &ListenConfig,
) -> Result<impl Future<Output = ()> + use<>, Failure> {
    let tls = listen
        .tls
        .as_ref()
        .map(|tls| tls::acceptor(tls, listen.mail.is_none()))
        .transpose()
        .map_err(|why| {
            Failure::usage(format!(
                "the certificate or key of port {}: {why}",
                listen.port
            ))
        })?;
    let raw = listen
        .raw
        .as_ref()
        .map(raw::Raw::compile)
        .transpose()
        .map_err(Failure::usage)?;
    if raw.is_some() && (tls.is_some() || listen.mail.is_some()) {
        return Err(Failure::usage(format!(
            "port {}: `raw` excludes `tls` and `mail`",
            listen.port
        )));
    }
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, listen.port))
        .await
        .map_err(|error| {
            Failure::new(
                format!("the stub cannot listen on port {}", listen.port),
                error,
            )
        })?;
    let mail = listen.mail.map(|config| mail::MailPort {
        store: Rc::clone(&stub.mail),
        stub: stub.name.clone(),
        number: listen.port,
        tls: tls.clone(),
        starttls: config.starttls,
    });
    Ok(serve::accept(
        stub,
        serve::Port {
            number: listen.port,
            tls,
            raw,
            mail,
        },
        listener,
    ))
}
