//! One or three nodes of Cassandra on 127.0.0.1 to 127.0.0.3, small enough for a developer's
//! machine.
//!
//! Maven fetches the jars that xtask/services/cassandra/pom.xml names. A node is killed, because
//! stopping it takes ten seconds. Its commit log has all writes. It creates tables quickly only if a killed
//! node may forget them: see [`Schema`].

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context as _, Result, bail};

use super::daemon::{Daemon, connect, write};
use crate::command::{find, output, run, say};
use crate::{install, project};

/// The port of CQL on the address of each node.
const PORT: u16 = 19_042;
/// The first node's port for nodetool on 127.0.0.1. Later nodes use the following ports.
const FIRST_JMX_PORT: usize = 17_199;
/// Time that the nodes may take to answer and to find each other.
const START_TIMEOUT: Duration = Duration::from_secs(120);

const POM: &str = include_str!("../../services/cassandra/pom.xml");
const CONFIGURATION: &str = include_str!("../../services/cassandra/cassandra.yaml");
const LOGBACK: &str = include_str!("../../services/cassandra/logback.xml");

/// Packages that Cassandra uses and that Java 17 does not export by default.
const EXPORTS: [&str; 7] = [
    "java.base/sun.nio.ch",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.misc",
    "java.rmi/sun.rmi.server",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.transport.tcp",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
];
/// Packages that Cassandra uses by reflection.
const OPENS: [&str; 9] = [
    "java.base/java.nio",
    "java.base/sun.nio.ch",
    "java.base/java.io",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/jdk.internal.ref",
    "java.base/java.lang",
    "java.base/java.lang.reflect",
    "jdk.management/com.sun.management.internal",
];

/// Whether a killed node knows its tables when it starts again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Schema {
    /// Each change of the schema writes the files of ten tables.
    Durable,
    /// Changes are in the commit log alone. A node reads that after the schema.
    Volatile,
}

/// The running nodes.
pub(crate) struct Cluster {
    nodes: Vec<Node>,
    /// Whether this command started any of them.
    pub(crate) started: bool,
}

struct Node {
    /// From 1.
    number: usize,
    schema: Schema,
    folder: PathBuf,
    daemon: Daemon,
}

impl Cluster {
    /// The addresses for a client: `HOST:PORT,…`.
    pub(crate) fn hosts(&self) -> String {
        let hosts: Vec<String> = self.nodes.iter().map(|n| n.address().to_string()).collect();
        hosts.join(",")
    }

    /// Runs nodetool on each node.
    pub(crate) fn nodetool(&self, arguments: &[&str]) -> Result<()> {
        for node in &self.nodes {
            node.nodetool(arguments)?;
        }
        Ok(())
    }

    /// The pid of the first node.
    pub(crate) fn pid(&self) -> Result<u32> {
        let pid = self.nodes[0].daemon.running();
        pid.context("the first node ended")
    }

    /// The data folder of the first node.
    pub(crate) fn data(&self) -> PathBuf {
        self.nodes[0].folder.join("data")
    }

    /// Kills the nodes if this command started them.
    pub(crate) fn release(self) -> Result<()> {
        if self.started {
            down()?;
        }
        Ok(())
    }
}

/// The clusters that there can be: number of nodes, and their schema.
const CLUSTERS: [(usize, Schema); 3] = [
    (1, Schema::Durable),
    (1, Schema::Volatile),
    (3, Schema::Durable),
];

/// Starts 1 or 3 nodes if they do not run, and waits until all answer.
pub(crate) fn up(count: usize, schema: Schema) -> Result<Cluster> {
    let nodes: Vec<Node> = (1..=count).map(|n| Node::new(count, n, schema)).collect();
    let is_running = |node: &Node| node.daemon.running().is_some();
    for (others, other) in CLUSTERS {
        if (others, other) != (count, schema)
            && (1..=others).any(|n| is_running(&Node::new(others, n, other)))
        {
            bail!("another cluster is running: run `cargo xtask services down` first");
        }
    }
    let missing: Vec<&Node> = nodes.iter().filter(|n| !is_running(n)).collect();
    let started = !missing.is_empty();
    let up = start(&missing, count).and_then(|()| wait(&nodes));
    if up.is_err() {
        // Some of them may have started.
        for node in missing {
            node.daemon.kill()?;
        }
    }
    up?;
    Ok(Cluster { nodes, started })
}

fn start(missing: &[&Node], count: usize) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let java = install::java()?;
    let jars = jars()?;
    for node in missing {
        if node.answers() {
            bail!(
                "another program answers at {}: stop it first",
                node.address()
            );
        }
        node.start(&java, &jars, count)?;
    }
    Ok(())
}

/// Kills the nodes that `up` started. Their data stays. Returns the number of killed nodes.
pub(crate) fn down() -> Result<usize> {
    let mut killed = 0;
    for (count, schema) in CLUSTERS {
        for number in 1..=count {
            killed += usize::from(Node::new(count, number, schema).daemon.kill()?);
        }
    }
    Ok(killed)
}

/// Kills one node of three.
pub(crate) fn kill(number: usize) -> Result<()> {
    if !Node::new(3, number, Schema::Durable).daemon.kill()? {
        bail!("node {number} of 3 is not running: run `cargo xtask services up --cassandra 3`");
    }
    say(format!("killed node {number} of 3"));
    Ok(())
}

fn wait(nodes: &[Node]) -> Result<()> {
    let deadline = Instant::now() + START_TIMEOUT;
    for node in nodes {
        while !node.answers() {
            node.keep_waiting(deadline, "does not answer")?;
        }
    }
    if nodes.len() > 1 {
        // The schema can be changed only when all nodes see each other.
        while nodes.iter().any(|node| node.count_up_nodes() < nodes.len()) {
            nodes[0].keep_waiting(deadline, "does not see all others")?;
        }
    }
    Ok(())
}

impl Node {
    fn new(count: usize, number: usize, schema: Schema) -> Self {
        let suffix = match schema {
            Schema::Durable => "",
            Schema::Volatile => "-volatile",
        };
        let name = format!("cassandra/{number}-of-{count}{suffix}");
        let folder = project::cache().join("services").join(name);
        Self {
            number,
            schema,
            daemon: Daemon::new(&folder),
            folder,
        }
    }

    fn address(&self) -> SocketAddr {
        (Ipv4Addr::new(127, 0, 0, self.number as u8), PORT).into()
    }

    fn start(&self, java: &Path, jars: &Path, count: usize) -> Result<()> {
        say(format!(
            "starting node {} of {count}, in {}",
            self.number,
            self.folder.display()
        ));
        if self.schema == Schema::Volatile {
            // Rows of tables that it does not know.
            let data = self.folder.join("data");
            if data.exists() {
                fs::remove_dir_all(&data)
                    .with_context(|| format!("cannot remove {}", data.display()))?;
            }
        }
        let seeds: Vec<String> = (1..=count).map(|n| format!("127.0.0.{n}")).collect();
        // Divides the ring into equal parts.
        let token = i128::from(i64::MIN) + ((self.number as i128 - 1) << 64) / count as i128;
        let text = CONFIGURATION
            .replace("@ADDRESS@", &self.address().ip().to_string())
            .replace("@TOKEN@", &token.to_string())
            .replace("@SEEDS@", &seeds.join(","));
        write(&self.folder.join("cassandra.yaml"), &text)?;
        write(&self.folder.join("logback.xml"), LOGBACK)?;
        let mut command = Command::new(java);
        command.args(["-Xms192m", "-Xmx1g", "-XX:+UseSerialGC"]);
        command.args(["-XX:TieredStopAtLevel=1", "-XX:MaxDirectMemorySize=128m"]);
        command.args([
            "-XX:+ExitOnOutOfMemoryError",
            "-Djava.net.preferIPv4Stack=true",
        ]);
        command.args(EXPORTS.map(|name| format!("--add-exports={name}=ALL-UNNAMED")));
        command.args(OPENS.map(|name| format!("--add-opens={name}=ALL-UNNAMED")));
        command.args(self.path_options());
        command.args([
            "-Dcassandra-foreground=yes",
            "-Dcassandra.skip_wait_for_gossip_to_settle=0",
            "-Dcassandra.ring_delay_ms=1000",
        ]);
        if self.schema == Schema::Volatile {
            command.arg("-Dcassandra.test.flush_local_schema_changes=false");
        }
        command.arg(format!("-Dcassandra.jmx.local.port={}", self.jmx_port()));
        command.arg("-cp").arg(jars.join("*"));
        command.arg("org.apache.cassandra.service.CassandraDaemon");
        self.daemon.start(&mut command)
    }

    /// The paths of its configuration, log and data, for the node and for nodetool.
    fn path_options(&self) -> [String; 3] {
        let folder = self.folder.display();
        [
            format!("-Dcassandra.config=file://{folder}/cassandra.yaml"),
            format!("-Dlogback.configurationFile=file://{folder}/logback.xml"),
            format!("-Dcassandra.storagedir={folder}/data"),
        ]
    }

    fn jmx_port(&self) -> usize {
        FIRST_JMX_PORT + self.number - 1
    }

    /// Whether it speaks CQL: it answers OPTIONS with SUPPORTED (protocol version 4, section
    /// 4.1.3).
    fn answers(&self) -> bool {
        let request = || -> std::io::Result<bool> {
            let mut stream = connect(self.address())?;
            stream.write_all(&[4, 0, 0, 0, 5, 0, 0, 0, 0])?;
            let mut head = [0; 9];
            stream.read_exact(&mut head)?;
            Ok(head[4] == 6)
        };
        request().unwrap_or(false)
    }

    /// Runs nodetool and returns its output.
    fn nodetool(&self, arguments: &[&str]) -> Result<String> {
        let mut tool = Command::new(install::java()?);
        tool.arg("-Xmx64m");
        tool.args(
            ["java.base/sun.nio.ch", "java.base/jdk.internal.ref"]
                .map(|name| format!("--add-exports={name}=ALL-UNNAMED")),
        );
        tool.arg("--add-opens=java.base/jdk.internal.ref=ALL-UNNAMED");
        tool.arg(format!("-Duser.home={}", self.folder.display()));
        tool.args(self.path_options());
        tool.arg("-cp").arg(jars()?.join("*"));
        tool.arg("org.apache.cassandra.tools.NodeTool");
        tool.args(["-h", "127.0.0.1", "-p", &self.jmx_port().to_string()]);
        tool.args(arguments);
        output(&mut tool)
    }

    /// The number of nodes that it lists as up and normal.
    fn count_up_nodes(&self) -> usize {
        let lines = self.nodetool(&["status"]).unwrap_or_default();
        lines.lines().filter(|line| line.starts_with("UN ")).count()
    }

    /// Waits a moment. An error if the node has ended, or after the deadline.
    fn keep_waiting(&self, deadline: Instant, problem: &str) -> Result<()> {
        if self.daemon.running().is_none() {
            bail!("node {} ended; {}", self.number, self.daemon.log().end());
        }
        if Instant::now() >= deadline {
            bail!(
                "node {} {problem}; {}",
                self.number,
                self.daemon.log().end()
            );
        }
        thread::sleep(Duration::from_millis(100));
        Ok(())
    }
}

/// Fetches Cassandra's jars if they are missing, and returns their folder.
fn jars() -> Result<PathBuf> {
    let folder = project::cache().join("services/cassandra/jars");
    // Written last, so an interrupted fetch and one of another version are repeated.
    let complete = folder.join("pom.xml");
    if fs::read_to_string(&complete).is_ok_and(|text| text == POM) {
        return Ok(folder);
    }
    install::maven()?;
    say("fetching Cassandra's jars, once (70 MB)");
    if folder.exists() {
        fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    let maven = find("mvn").context("mvn is not installed")?;
    let pom = project::root().join("xtask/services/cassandra/pom.xml");
    run(Command::new(maven)
        .args(["--batch-mode", "--quiet", "--file"])
        .arg(pom)
        .arg("dependency:copy-dependencies")
        .arg(format!("-DoutputDirectory={}", folder.display())))?;
    write(&complete, POM)?;
    Ok(folder)
}
