//! The command line.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::compose::ComposeArguments;

/// Althing's conferencing server: rooms on one small machine.
///
/// Without any option it listens on this machine only, and accepts tokens signed with the development key `devkey`, whose
/// secret is `secret`; so does --dev, which prints tokens that are ready to use as well. Where others can reach it, it
/// accepts only keys of its own, and has none until the configuration names them.
#[derive(Debug, Parser)]
#[command(name = "conference", version, about)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) flags: Flags,
}

/// What overrules the configuration file.
#[derive(Debug, Default, Args)]
pub(crate) struct Flags {
    /// Configuration in TOML; without it the embedded defaults.
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// Print two tokens of the development key and the links that use them; refused when the configuration has keys.
    #[arg(long)]
    pub(crate) dev: bool,
    /// Address of the page and of signalling, with port (may be given several times) [default: 127.0.0.1:7880].
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Vec<SocketAddr>,
    /// UDP port of media, one for all peers [default: 7882].
    #[arg(long, value_name = "PORT")]
    pub(crate) udp_port: Option<u16>,
    /// TCP port of media, for peers without UDP [default: 7881].
    #[arg(long, value_name = "PORT")]
    pub(crate) tcp_port: Option<u16>,
    /// Address that peers are told for media, when it is not the machine's own (may be given several times).
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) advertise: Vec<IpAddr>,
    /// Folder for what must outlive the server [default: ./data].
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data: Option<PathBuf>,
    /// Folder with a page of your own, served in place of the program's.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) page: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make an access token and print it.
    Token(TokenArguments),
    /// Make one MP4 of a recorded meeting with the program ffmpeg.
    Compose(ComposeArguments),
}

/// Whom a token is for, and what it allows.
#[derive(Debug, Args)]
pub(crate) struct TokenArguments {
    /// The room.
    #[arg(long)]
    pub(crate) room: String,
    /// Who it is for: unique in the room.
    #[arg(long)]
    pub(crate) identity: String,
    /// The name that others see.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Allow publishing only.
    #[arg(long, conflicts_with = "watch")]
    pub(crate) publish: bool,
    /// Allow watching only.
    #[arg(long)]
    pub(crate) watch: bool,
    /// Allow recording the room.
    #[arg(long)]
    pub(crate) record: bool,
    /// Allow leading the room: managing who is there, recording, deleting recordings.
    #[arg(long)]
    pub(crate) admin: bool,
    /// Hours until it expires.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=8760))]
    pub(crate) hours: u32,
    /// Name of the key that signs it [default: the first of the configuration, or the development key].
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// The key's secret, when it is not in the configuration.
    #[arg(long, requires = "key")]
    pub(crate) secret: Option<String>,
}
