//! The demonstration of `cargo xtask up`: a small web shop. A server keeps its products in a database
//! file, a client browses and orders, and a picture is resized by a program that needs too much memory.
//! Each part runs until it is ended.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;

/// Products in the database.
const PRODUCTS: u64 = 256;
/// Bytes of a product's record.
const PRODUCT_BYTES: usize = 4096;
/// Bytes of an order's record.
const ORDER_BYTES: usize = 512;
/// Requests of the client before it pauses.
const REQUESTS: u64 = 20;
const CLIENT_INTERVAL: Duration = Duration::from_millis(500);
const MIB: usize = 1 << 20;
const PAGE_BYTES: usize = 4096;

/// A part of the shop.
#[derive(Debug, Subcommand)]
pub(crate) enum Part {
    /// Answer requests over HTTP from a database file
    Server {
        /// Address and port to listen on
        #[arg(long)]
        listen: SocketAddr,
        /// The database file
        #[arg(long)]
        database: PathBuf,
    },
    /// Browse products, and order some of them
    Client {
        /// Address and port of the server
        #[arg(long)]
        connect: SocketAddr,
    },
    /// Take memory until it is enough, or until the kernel ends this process
    Resize {
        /// MiB to take
        #[arg(long)]
        mib: usize,
        /// MiB a second
        #[arg(long)]
        mib_per_second: u32,
    },
}

pub(crate) fn run(part: &Part) -> Result<()> {
    match part {
        Part::Server { listen, database } => serve(*listen, database),
        Part::Client { connect } => browse(*connect),
        Part::Resize {
            mib,
            mib_per_second,
        } => {
            resize(*mib, *mib_per_second);
            Ok(())
        }
    }
}

fn serve(listen: SocketAddr, path: &Path) -> Result<()> {
    let database = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    for product in 0..PRODUCTS {
        let record = vec![b'a' + (product % 26) as u8; PRODUCT_BYTES];
        database.write_all_at(&record, product * PRODUCT_BYTES as u64)?;
    }
    let listener =
        TcpListener::bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
    let mut orders = 0;
    for client in listener.incoming() {
        // A client that goes away in the middle of its request costs nothing.
        let _ = client
            .map_err(Into::into)
            .and_then(|client| answer(client, &database, &mut orders));
    }
    Ok(())
}

fn answer(mut client: TcpStream, database: &File, orders: &mut u64) -> Result<()> {
    let mut request = String::new();
    BufReader::new(&client).read_line(&mut request)?;
    let mut record = vec![0; PRODUCT_BYTES];
    let mut words = request.split_whitespace();
    match (
        words.next(),
        words.next().and_then(|path| path.strip_prefix("/product/")),
    ) {
        (Some("GET"), Some(product)) => {
            let product = product.parse::<u64>()? % PRODUCTS;
            database.read_exact_at(&mut record, product * PRODUCT_BYTES as u64)?;
        }
        (Some("POST"), _) => {
            // The last thousand orders, so that the file does not grow for ever.
            let at = PRODUCTS * PRODUCT_BYTES as u64 + *orders % 1000 * ORDER_BYTES as u64;
            database.write_all_at(&[b'o'; ORDER_BYTES], at)?;
            database.sync_data()?;
            *orders += 1;
            record.truncate(0);
        }
        _ => bail!("unknown request"),
    }
    write!(
        client,
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        record.len()
    )?;
    client.write_all(&record)?;
    Ok(())
}

fn browse(server: SocketAddr) -> Result<()> {
    for number in 0.. {
        // The server may not listen yet, or not any more.
        let _ = ask(server, number);
        if number % REQUESTS == 0 {
            sleep(CLIENT_INTERVAL);
        }
    }
    Ok(())
}

fn ask(server: SocketAddr, number: u64) -> Result<()> {
    let mut stream = TcpStream::connect(server)?;
    match number % 5 {
        0 => write!(stream, "POST /order HTTP/1.1\r\n\r\n")?,
        _ => write!(
            stream,
            "GET /product/{} HTTP/1.1\r\n\r\n",
            number * 7 % PRODUCTS
        )?,
    }
    stream.read_to_end(&mut Vec::new())?;
    Ok(())
}

fn resize(mib: usize, mib_per_second: u32) {
    let mut picture = Vec::new();
    for _ in 0..mib {
        let mut part = vec![0; MIB];
        for byte in part.iter_mut().step_by(PAGE_BYTES) {
            *byte = 1;
        }
        picture.push(std::hint::black_box(part));
        sleep(Duration::from_secs(1) / mib_per_second.max(1));
    }
}
