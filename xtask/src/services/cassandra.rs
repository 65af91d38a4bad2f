//! One or three nodes of Cassandra on 127.0.0.1 to 127.0.0.3, small enough for a developer's machine.
//!
//! The jars come by Maven from pom.xml beside cassandra.yaml. A node is killed and not asked to end,
//! which takes it ten seconds; its commit log has what was written.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::daemon::{Daemon, connect, write};
use crate::{
    command::{find, output, run, say},
    install, project,
};

/// The port of CQL, on each node's own address.
const PORT: u16 = 19_042;
/// The first node's port for nodetool, on 127.0.0.1; the next nodes have the next ones.
const JMX: usize = 17_199;
/// How long it may take until all nodes know each other.
const START: Duration = Duration::from_secs(120);

const POM: &str = include_str!("../../services/cassandra/pom.xml");
const CONFIGURATION: &str = include_str!("../../services/cassandra/cassandra.yaml");
const LOG: &str = include_str!("../../services/cassandra/logback.xml");

/// Packages that Cassandra uses and Java 17 does not show by itself.
const EXPORTS: [&str; 7] = [
    "java.base/sun.nio.ch",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.misc",
    "java.rmi/sun.rmi.server",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.transport.tcp",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
];
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

/// Nodes that run.
pub(crate) struct Cluster {
    nodes: Vec<Node>,
    /// Whether this command started any of them.
    pub(crate) started: bool,
}

struct Node {
    /// From 1.
    number: usize,
    folder: PathBuf,
    daemon: Daemon,
}

impl Cluster {
    /// The nodes as a client is told them: `HOST:PORT,…`.
    pub(crate) fn hosts(&self) -> String {
        let hosts: Vec<String> = self.nodes.iter().map(|n| n.address().to_string()).collect();
        hosts.join(",")
    }

    /// Runs Cassandra's tool on each node.
    pub(crate) fn tool(&self, words: &[&str]) -> Result<()> {
        for node in &self.nodes {
            node.tool(words)?;
        }
        Ok(())
    }

    /// The process of the first node.
    pub(crate) fn pid(&self) -> Result<u32> {
        let pid = self.nodes[0].daemon.running();
        pid.context("the first node ended")
    }

    /// Where the first node has its data.
    pub(crate) fn data(&self) -> PathBuf {
        self.nodes[0].folder.join("data")
    }

    /// Ends the nodes, if this command started them.
    pub(crate) fn release(self) -> Result<()> {
        if self.started {
            down()?;
        }
        Ok(())
    }
}

/// Starts so many nodes (1 or 3), if they do not run, and waits until all answer.
pub(crate) fn up(count: usize) -> Result<Cluster> {
    let nodes: Vec<Node> = (1..=count).map(|n| Node::new(count, n)).collect();
    let runs = |node: &Node| node.daemon.running().is_some();
    for other in [1, 3].into_iter().filter(|other| *other != count) {
        if (1..=other).any(|n| runs(&Node::new(other, n))) {
            bail!("a cluster of {other} runs: end it first, by `cargo xtask services down`");
        }
    }
    let missing: Vec<&Node> = nodes.iter().filter(|n| !runs(n)).collect();
    let started = !missing.is_empty();
    let up = start(&missing, count).and_then(|()| wait(&nodes));
    if up.is_err() {
        // Some of them may have begun.
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
                "something that is not ours answers at {}: end it first",
                node.address()
            );
        }
        node.start(&java, &jars, count)?;
    }
    Ok(())
}

/// Ends the nodes that `up` started; their data stays. Returns how many there were.
pub(crate) fn down() -> Result<usize> {
    let mut ended = 0;
    for count in [1, 3] {
        for number in 1..=count {
            ended += usize::from(Node::new(count, number).daemon.kill()?);
        }
    }
    Ok(ended)
}

/// Kills one node of three.
pub(crate) fn kill(number: usize) -> Result<()> {
    if !Node::new(3, number).daemon.kill()? {
        bail!("node {number} of 3 does not run");
    }
    say(format!("killed node {number} of 3"));
    Ok(())
}

fn wait(nodes: &[Node]) -> Result<()> {
    let deadline = Instant::now() + START;
    for node in nodes {
        while !node.answers() {
            node.expect(deadline, "does not answer")?;
        }
    }
    if nodes.len() > 1 {
        // The schema may be changed only when all know each other.
        while nodes.iter().any(|node| node.sees() < nodes.len()) {
            nodes[0].expect(deadline, "does not see all others")?;
        }
    }
    Ok(())
}

impl Node {
    fn new(count: usize, number: usize) -> Self {
        let name = format!("cassandra/{number}-of-{count}");
        let folder = project::cache().join("services").join(name);
        Self {
            number,
            daemon: Daemon::of(&folder),
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
        let seeds: Vec<String> = (1..=count).map(|n| format!("127.0.0.{n}")).collect();
        // The ring in equal parts.
        let token = i128::from(i64::MIN) + ((self.number as i128 - 1) << 64) / count as i128;
        let text = CONFIGURATION
            .replace("@ADDRESS@", &self.address().ip().to_string())
            .replace("@TOKEN@", &token.to_string())
            .replace("@SEEDS@", &seeds.join(","));
        write(&self.folder.join("cassandra.yaml"), &text)?;
        write(&self.folder.join("logback.xml"), LOG)?;
        let mut command = Command::new(java);
        command.args(["-Xms192m", "-Xmx1g", "-XX:+UseSerialGC"]);
        command.args(["-XX:TieredStopAtLevel=1", "-XX:MaxDirectMemorySize=128m"]);
        command.args([
            "-XX:+ExitOnOutOfMemoryError",
            "-Djava.net.preferIPv4Stack=true",
        ]);
        command.args(EXPORTS.map(|name| format!("--add-exports={name}=ALL-UNNAMED")));
        command.args(OPENS.map(|name| format!("--add-opens={name}=ALL-UNNAMED")));
        command.args(self.settings());
        command.args([
            "-Dcassandra-foreground=yes",
            "-Dcassandra.skip_wait_for_gossip_to_settle=0",
            "-Dcassandra.ring_delay_ms=1000",
        ]);
        command.arg(format!("-Dcassandra.jmx.local.port={}", self.jmx()));
        command.arg("-cp").arg(jars.join("*"));
        command.arg("org.apache.cassandra.service.CassandraDaemon");
        self.daemon.start(&mut command)
    }

    /// Where its configuration, log and data are: for the node and for its tool.
    fn settings(&self) -> [String; 3] {
        let folder = self.folder.display();
        [
            format!("-Dcassandra.config=file://{folder}/cassandra.yaml"),
            format!("-Dlogback.configurationFile=file://{folder}/logback.xml"),
            format!("-Dcassandra.storagedir={folder}/data"),
        ]
    }

    fn jmx(&self) -> usize {
        JMX + self.number - 1
    }

    /// Whether it speaks CQL: it answers OPTIONS (version 4 of the protocol, section 4.1.3) by SUPPORTED.
    fn answers(&self) -> bool {
        let ask = || -> std::io::Result<bool> {
            let mut stream = connect(self.address())?;
            stream.write_all(&[4, 0, 0, 0, 5, 0, 0, 0, 0])?;
            let mut head = [0; 9];
            stream.read_exact(&mut head)?;
            Ok(head[4] == 6)
        };
        ask().unwrap_or(false)
    }

    /// Runs its tool, and gives what that says.
    fn tool(&self, words: &[&str]) -> Result<String> {
        let mut tool = Command::new(install::java()?);
        tool.arg("-Xmx64m");
        tool.args(
            ["java.base/sun.nio.ch", "java.base/jdk.internal.ref"]
                .map(|name| format!("--add-exports={name}=ALL-UNNAMED")),
        );
        tool.arg("--add-opens=java.base/jdk.internal.ref=ALL-UNNAMED");
        tool.arg(format!("-Duser.home={}", self.folder.display()));
        tool.args(self.settings());
        tool.arg("-cp").arg(jars()?.join("*"));
        tool.arg("org.apache.cassandra.tools.NodeTool");
        tool.args(["-h", "127.0.0.1", "-p", &self.jmx().to_string()]);
        tool.args(words);
        output(&mut tool)
    }

    /// How many nodes it holds for up and in the ring.
    fn sees(&self) -> usize {
        let lines = self.tool(&["status"]).unwrap_or_default();
        lines.lines().filter(|line| line.starts_with("UN ")).count()
    }

    /// Waits a moment more, unless it ended or there was time enough.
    fn expect(&self, deadline: Instant, what: &str) -> Result<()> {
        if self.daemon.running().is_none() {
            bail!("node {} ended; {}", self.number, self.daemon.log().end());
        }
        if Instant::now() >= deadline {
            bail!("node {} {what}; {}", self.number, self.daemon.log().end());
        }
        thread::sleep(Duration::from_millis(100));
        Ok(())
    }
}

/// The folder of Cassandra's jars, fetched if they are not there.
fn jars() -> Result<PathBuf> {
    let folder = project::cache().join("services/cassandra/jars");
    // Written last: a fetch that was cut short is done again, and so is one of another version.
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
