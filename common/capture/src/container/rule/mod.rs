//! From the path of a cgroup to the container it belongs to.
//!
//! One table of rules is applied to each cgroup on the path, from the root. The *innermost*
//! match is the container, and everything below belongs to it. So Docker in Docker gives two
//! containers, and the cgroups that an init creates inside a container give no more. A systemd
//! unit matches only outside of other containers.
//!
//! `forms` lists the paths that the runtimes use, with the source of each; so does
//! docs/containers.md.

use bubble_common::segment::ContainerId;

use super::glob::Glob;

/// A container that was found by a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its id.
    pub id: ContainerId,
    /// The full id, where `id` is its beginning.
    pub full_id: Option<String>,
    /// The runtime that created it: the fact `runtime`.
    pub runtime: &'static str,
    /// Its name, if the path has it.
    pub name: Option<String>,
    /// Uid of its Kubernetes pod.
    pub pod: Option<String>,
    /// Number of its Slurm job, if the path has it.
    pub job: Option<String>,
    /// User who owns a cgroup above its own, and so chose its name; `None` if root did.
    pub user: Option<u32>,
    /// Path of its own cgroup from the root of the hierarchy.
    pub path: String,
}

/// A rule of the user: cgroups that are shown as containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRule {
    /// Paths of the cgroups.
    pub pattern: Glob,
    /// Name of the container. `None`: the last part of the path.
    pub name: Option<String>,
}

/// Which cgroups of this host are containers.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Name of the host. It is part of the ids that are only unique on one host.
    pub host: String,
    /// Whether systemd units are containers.
    pub systemd: bool,
    /// The user's rules; the first match counts.
    pub user: Vec<UserRule>,
    /// The only container, if all others are left out.
    pub only: Option<Found>,
}

/// The parts of a path, up to the cgroup that rules are applied to.
struct CgroupPath<'a> {
    /// Never empty.
    parts: &'a [&'a str],
}

/// The match of a rule: the runtime, and what identifies the container.
enum Match {
    /// A runtime's id of 64 hexadecimal digits.
    Digits(&'static str, String),
    /// A name that is unique on this host, and the name to show.
    Name(&'static str, String, String),
}

/// The rules of the runtimes.
const RULES: &[fn(&CgroupPath<'_>) -> Option<Match>] =
    &[scope, triple, digits, slurm_step, lxc, nspawn, buildkit];

impl Rules {
    /// The container that owns the cgroup at `path`.
    pub fn find(&self, path: &str) -> Option<Found> {
        if let Some(only) = &self.only {
            let below = path.strip_prefix(&only.path)?;
            return (below.is_empty() || below.starts_with('/')).then(|| only.clone());
        }
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let mut found: Option<(Match, usize)> = None;
        for length in 1..=parts.len() {
            let cgroup = CgroupPath {
                parts: &parts[..length],
            };
            let matched = RULES
                .iter()
                .find_map(|rule| rule(&cgroup))
                .or_else(|| self.user_rule(&cgroup))
                .or_else(|| {
                    let outside = matches!(found, None | Some((Match::Name("systemd", ..), _)));
                    (self.systemd && outside).then(|| unit(&cgroup)).flatten()
                });
            if let Some(matched) = matched {
                found = Some((matched, length));
            }
        }
        let (matched, length) = found?;
        let path = format!("/{}", parts[..length].join("/"));
        let pod = parts[..length].iter().find_map(|part| pod_uid(part));
        Some(match matched {
            Match::Digits(runtime, digits) => Found {
                id: ContainerId::new(digits.get(..12)?).ok()?,
                full_id: Some(digits),
                runtime,
                name: None,
                pod,
                job: None,
                user: None,
                path,
            },
            Match::Name(runtime, unique, name) => Found {
                id: self.id(&unique)?,
                full_id: None,
                runtime,
                job: job_number(runtime, &name),
                name: Some(name),
                pod,
                user: None,
                path,
            },
        })
    }

    /// The container that stands for all processes outside of containers.
    pub fn host(&self) -> Option<Found> {
        Some(Found {
            id: self.id("host")?,
            full_id: None,
            runtime: "host",
            name: Some(self.host.clone()),
            pod: None,
            job: None,
            user: None,
            path: "/".to_owned(),
        })
    }

    /// The container `found` as that of a user who owns a cgroup above its own. Such a user can make
    /// cgroups of any name there, so the id says whose it is. A rule of the administrator has the whole
    /// path in its id already.
    pub fn of_user(&self, found: Found, user: u32) -> Option<Found> {
        let id = found.id.as_str();
        let has_user = match found.runtime {
            "cgroup" => true,
            "systemd" => id.starts_with(&format!("user@{user}.service:")),
            _ => id.starts_with(&format!("user-{user}:")),
        };
        let id = match &found.full_id {
            Some(digits) => self.digits_of_user(digits, user)?,
            None if has_user => found.id,
            None => {
                let own = format!("@{}", self.host);
                self.id(&format!(
                    "user-{user}:{}",
                    id.strip_suffix(&own).unwrap_or(id)
                ))?
            }
        };
        Some(Found {
            id,
            user: Some(user),
            ..found
        })
    }

    /// The id of a user's container with these digits.
    pub fn digits_of_user(&self, digits: &str, user: u32) -> Option<ContainerId> {
        let short = digits.get(..12).unwrap_or(digits);
        self.id(&format!("user-{user}:{short}"))
    }

    fn user_rule(&self, cgroup: &CgroupPath<'_>) -> Option<Match> {
        let rule = self
            .user
            .iter()
            .find(|rule| rule.pattern.matches(cgroup.parts))?;
        let name = rule.name.as_deref().unwrap_or(cgroup.last());
        Some(Match::Name(
            "cgroup",
            cgroup.parts.join(":"),
            name.to_owned(),
        ))
    }

    /// `UNIQUE@HOST`, with characters replaced that a container id may not have.
    fn id(&self, unique: &str) -> Option<ContainerId> {
        let wanted = format!("{unique}@{}", self.host);
        if let Ok(id) = ContainerId::new(&wanted) {
            return Some(id);
        }
        // Replacing may make two names equal, so the id also has a hash of the original (FNV-1a:
        // stable across versions of the agent).
        let hash = unique
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        let clean = |text: &str, max_length: usize| -> String {
            text.chars()
                .take(max_length)
                .map(|c| match c {
                    '/' | '?' | '#' | '%' => '_',
                    c if c.is_ascii_graphic() => c,
                    _ => '_',
                })
                .collect()
        };
        let text = format!(
            "{}~{hash:016x}@{}",
            clean(unique, 150),
            clean(&self.host, 64)
        );
        ContainerId::new(&text).ok()
    }
}

impl<'a> CgroupPath<'a> {
    fn last(&self) -> &'a str {
        self.parts.last().copied().unwrap_or_default()
    }

    fn parents(&self) -> &'a [&'a str] {
        &self.parts[..self.parts.len() - 1]
    }

    /// A name that is unique on this host: names are only unique within a user or a container.
    fn unique(&self, name: &str) -> String {
        let mut unique = String::new();
        for part in self.parents() {
            if let Some(user) = part
                .strip_prefix("user-")
                .and_then(|it| it.strip_suffix(".slice"))
            {
                unique = format!("user-{user}:");
            } else if let Some(outer) = part.strip_prefix("lxc.payload.") {
                unique.push_str(outer);
                unique.push(':');
            } else if let Some((_, digits)) = runtime_and_digits(part) {
                unique.extend(digits.chars().take(12));
                unique.push(':');
            }
        }
        unique + name
    }
}

/// Whether `text` is a full container id.
fn is_digits(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// The runtime with this prefix of names of cgroups. `crio-conmon` and the like are the runtime's
/// own processes.
fn runtime_of(prefix: &str) -> Option<&'static str> {
    match prefix {
        "docker" => Some("docker"),
        "libpod" | "libpod-payload" => Some("podman"),
        "cri-containerd" | "nerdctl" => Some("containerd"),
        "crio" => Some("cri-o"),
        _ => None,
    }
}

/// The runtime and the digits of `docker-DIGITS.scope` and the like. The runtime of `DIGITS` is
/// not known.
fn runtime_and_digits(name: &str) -> Option<(Option<&'static str>, &str)> {
    if is_digits(name) {
        return Some((None, name));
    }
    let name = name.strip_suffix(".scope").unwrap_or(name);
    let (prefix, digits) = name.rsplit_once('-')?;
    let runtime = runtime_of(prefix)?;
    is_digits(digits).then_some((Some(runtime), digits))
}

/// `docker-DIGITS.scope`, `libpod-DIGITS.scope`, …: the runtimes' systemd drivers.
/// `crio-DIGITS`, `libpod-DIGITS`: two runtimes without systemd. `libpod-payload-DIGITS`: Podman
/// that splits the cgroup of its unit, as Quadlet does; its monitor is in `runtime` beside it.
fn scope(cgroup: &CgroupPath<'_>) -> Option<Match> {
    let (runtime, digits) = runtime_and_digits(cgroup.last())?;
    Some(Match::Digits(runtime?, digits.to_owned()))
}

/// `SLICE:PREFIX:DIGITS`: what a runtime passes to runc's systemd driver, where runc uses cgroupfs.
fn triple(cgroup: &CgroupPath<'_>) -> Option<Match> {
    let (slice, rest) = cgroup.last().split_once(':')?;
    let (prefix, digits) = rest.split_once(':')?;
    let runtime = runtime_of(prefix)?;
    (slice.ends_with(".slice") && is_digits(digits))
        .then(|| Match::Digits(runtime, digits.to_owned()))
}

/// `…/DIGITS`: the cgroupfs drivers of Docker and containerd, below any parent. Below
/// `libpod_parent` it is a pod of Podman.
fn digits(cgroup: &CgroupPath<'_>) -> Option<Match> {
    let digits = cgroup.last();
    if !is_digits(digits) || cgroup.parents().last() == Some(&"libpod_parent") {
        return None;
    }
    let of_containerd =
        |part: &&str| part.starts_with("kubepods") || *part == "default" || *part == "k8s.io";
    let runtime = if cgroup.parents().iter().any(of_containerd) {
        "containerd"
    } else {
        "docker"
    };
    Some(Match::Digits(runtime, digits.to_owned()))
}

/// A step of a Slurm job. Tasks and slurmstepd are below.
///
/// | version | path |
/// |---|---|
/// | v1 | `slurm/uid_1000/job_7/step_0` |
/// | v2 | `[NODE_]slurmstepd.scope/job_7/step_0` |
/// | v2, since Slurm 26.05, without `CgroupJobIdPaths` | `slurmstepd.scope/sEKNKTV3WPV500/step_0` |
fn slurm_step(cgroup: &CgroupPath<'_>) -> Option<Match> {
    let step = cgroup.last().strip_prefix("step_")?;
    let (job, above) = cgroup.parents().split_last()?;
    let job = match job.strip_prefix("job_") {
        Some(number) => {
            let slurm = above.iter().any(|part| part.contains("slurm"));
            (slurm && is_number(number)).then_some(number)?
        }
        None => {
            let in_scope = above.last()?.ends_with("slurmstepd.scope");
            (in_scope && is_sluid(job)).then_some(*job)?
        }
    };
    let name = format!("slurm-{job}.{step}");
    Some(Match::Name("slurm", cgroup.unique(&name), name))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Slurm's sortable id of a job: `s` and 13 digits in base 32.
fn is_sluid(text: &str) -> bool {
    let digits = text.strip_prefix('s').unwrap_or_default();
    let base32 = |b: u8| b.is_ascii_digit() || b.is_ascii_uppercase();
    digits.len() == 13 && digits.bytes().all(base32)
}

/// Number of the job in `slurm-7.0`.
fn job_number(runtime: &str, name: &str) -> Option<String> {
    let (job, _) = name.strip_prefix("slurm-")?.split_once('.')?;
    (runtime == "slurm" && is_number(job)).then(|| job.to_owned())
}

/// `lxc/NAME`, `lxc.payload/NAME`, `lxc.payload.NAME`, also below the scope of a user;
/// `lxc.monitor…` is LXC's own process.
fn lxc(cgroup: &CgroupPath<'_>) -> Option<Match> {
    let last = cgroup.last();
    let is_below = matches!(cgroup.parents().last(), Some(&("lxc" | "lxc.payload")));
    let name = match last.strip_prefix("lxc.payload.") {
        Some(name) => name,
        None => is_below.then_some(last)?,
    };
    let is_payload = !name.is_empty() && !name.starts_with("lxc.");
    is_payload.then(|| Match::Name("lxc", cgroup.unique(name), name.to_owned()))
}

/// `systemd-nspawn@NAME.service` and `machine.slice/machine-NAME.scope`, with payload and
/// supervisor below. `machine-qemu…` is a virtual machine of libvirt, `machine-lxc-NUMBER-NAME` a
/// container of it.
fn nspawn(cgroup: &CgroupPath<'_>) -> Option<Match> {
    let last = cgroup.last();
    let of_unit = last
        .strip_prefix("systemd-nspawn@")
        .and_then(|name| name.strip_suffix(".service"));
    let of_scope = || {
        let in_slice = cgroup.parents().last() == Some(&"machine.slice");
        let name = last.strip_prefix("machine-")?.strip_suffix(".scope")?;
        (in_slice && !name.starts_with("qemu")).then_some(name)
    };
    let name = unescape(of_unit.or_else(of_scope)?);
    if let Some((_, name)) = name.strip_prefix("lxc-").and_then(|it| it.split_once('-')) {
        return Some(Match::Name("lxc", cgroup.unique(name), name.to_owned()));
    }
    let unique = cgroup.unique(&format!("nspawn:{name}"));
    (!name.is_empty()).then_some(Match::Name("systemd-nspawn", unique, name))
}

/// Resolves the escapes of a systemd unit's name: `\x2d` is a hyphen.
fn unescape(name: &str) -> String {
    let mut parts = name.split("\\x");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..2).map(|hex| u8::from_str_radix(hex, 16));
        match code {
            Some(Ok(byte)) if byte.is_ascii() => {
                text.push(char::from(byte));
                text.push_str(&part[2..]);
            }
            _ => {
                text.push_str("\\x");
                text.push_str(part);
            }
        }
    }
    text
}

/// `buildkit/ID` and `SLICE:docker:ID`: a step of a build, by Docker or by BuildKit alone.
fn buildkit(cgroup: &CgroupPath<'_>) -> Option<Match> {
    let last = cgroup.last();
    let id = match last.split_once(".slice:docker:") {
        Some((_, id)) => id,
        None => (cgroup.parents().last() == Some(&"buildkit")).then_some(last)?,
    };
    let base36 = |b: u8| b.is_ascii_digit() || b.is_ascii_lowercase();
    let is_step = id.len() == 25 && id.bytes().all(base36);
    is_step.then(|| {
        let name = format!("buildkit:{id}");
        Match::Name("buildkit", cgroup.unique(&name), name)
    })
}

/// A service or scope of systemd. The id of a user's unit contains the user.
fn unit(cgroup: &CgroupPath<'_>) -> Option<Match> {
    let name = cgroup.last();
    if !name.ends_with(".service") && !name.ends_with(".scope") {
        return None;
    }
    let of_user = |part: &&&str| part.starts_with("user@") && part.ends_with(".service");
    let unique = match cgroup.parents().iter().find(of_user) {
        Some(user) => format!("{user}:{name}"),
        None => name.to_owned(),
    };
    Some(Match::Name("systemd", unique, name.to_owned()))
}

/// The user to whom systemd gives the cgroups on a path.
pub fn user_of(path: &str) -> Option<u32> {
    path.split('/').find_map(|part| {
        let user = part.strip_prefix("user@")?.strip_suffix(".service")?;
        user.parse().ok().filter(|user| *user != 0)
    })
}

/// The uid in `pod1234-…`, `kubepods-besteffort-pod1234_….slice`, and the latter in a triple.
fn pod_uid(part: &str) -> Option<String> {
    let part = part.split(':').next().unwrap_or_default();
    let part = part.strip_suffix(".slice").unwrap_or(part);
    let (before, uid) = part.rsplit_once("pod")?;
    let kubernetes = before.is_empty() || (before.contains("kubepods") && before.ends_with('-'));
    let hex = |b: u8| b.is_ascii_hexdigit() || b == b'-' || b == b'_';
    (kubernetes && uid.len() >= 32 && uid.bytes().all(hex)).then(|| uid.replace('_', "-"))
}

#[cfg(test)]
mod forms;
#[cfg(test)]
mod tests;
