//! From the path of a cgroup to the container it belongs to.
//!
//! One table of rules, read along the path from the root: of the cgroups on the
//! way, the *innermost* that a rule matches is the container, and all that is
//! below belongs to it. So Docker in Docker gives two containers, and the cgroups
//! that an init makes inside a container give none. Only systemd units ask, in
//! addition, not to be inside something else.

use bubble_common::segment::ContainerId;

use super::glob::Glob;

/// What a rule says of a cgroup that is a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its id, by the rule of [`ContainerId`].
    pub id: ContainerId,
    /// The id in full, where the id is a part of it.
    pub full_id: Option<String>,
    /// What made it: the fact `runtime`.
    pub runtime: &'static str,
    /// Its name, where the path tells it.
    pub name: Option<String>,
    /// Uid of the Kubernetes pod it is in.
    pub pod: Option<String>,
    /// Path of its own cgroup from the root of the hierarchy.
    pub path: String,
}

/// A rule of the user's: cgroups shown as containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRule {
    /// Which cgroups, by their path.
    pub pattern: Glob,
    /// What the container is called; without it, by the last part of the path.
    pub name: Option<String>,
}

/// What is taken for a container on this host.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Name of the host, a part of ids that no runtime made unique.
    pub host: String,
    /// Whether systemd units are containers.
    pub systemd: bool,
    /// The user's own rules; the first that matches counts.
    pub user: Vec<UserRule>,
}

/// The parts of a path up to a cgroup that is being looked at.
struct Place<'a> {
    /// Components up to and with this one; never empty.
    parts: &'a [&'a str],
}

/// What a rule of the table finds out: runtime and what tells the container apart.
enum Match {
    /// A runtime's 64 hexadecimal digits.
    Digits(&'static str, String),
    /// A name that is unique on this host, and what to call it.
    Name(&'static str, String, String),
}

/// The runtimes' rules; each looks at a cgroup and says whether it is a container.
const RULES: &[fn(&Place<'_>) -> Option<Match>] = &[scope, digits, slurm_step, lxc];

impl Rules {
    /// The container that the cgroup at `path` is or belongs to.
    pub fn find(&self, path: &str) -> Option<Found> {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let mut found: Option<(Match, usize)> = None;
        for length in 1..=parts.len() {
            let place = Place {
                parts: &parts[..length],
            };
            let matched = RULES
                .iter()
                .find_map(|rule| rule(&place))
                .or_else(|| self.user_rule(&place))
                .or_else(|| {
                    let outside = matches!(found, None | Some((Match::Name("systemd", ..), _)));
                    (self.systemd && outside).then(|| unit(&place)).flatten()
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
                path,
            },
            Match::Name(runtime, unique, name) => Found {
                id: self.id(&unique)?,
                full_id: None,
                runtime,
                name: Some(name),
                pod,
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
            path: "/".to_owned(),
        })
    }

    fn user_rule(&self, place: &Place<'_>) -> Option<Match> {
        let rule = self
            .user
            .iter()
            .find(|rule| rule.pattern.matches(place.parts))?;
        let name = rule.name.as_deref().unwrap_or(place.last());
        Some(Match::Name(
            "cgroup",
            place.parts.join(":"),
            name.to_owned(),
        ))
    }

    /// `UNIQUE@HOST`, with what a container id may not hold replaced.
    fn id(&self, unique: &str) -> Option<ContainerId> {
        let wanted = format!("{unique}@{}", self.host);
        if let Ok(id) = ContainerId::new(&wanted) {
            return Some(id);
        }
        // Two names may become the same by replacing, so what they were is put in as a number.
        // (FNV-1a: it must be the same in every version of the agent.)
        let number = unique
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        let clean = |text: &str, most: usize| -> String {
            text.chars()
                .take(most)
                .map(|c| match c {
                    '/' | '?' | '#' | '%' => '_',
                    c if c.is_ascii_graphic() => c,
                    _ => '_',
                })
                .collect()
        };
        let text = format!(
            "{}~{number:016x}@{}",
            clean(unique, 150),
            clean(&self.host, 64)
        );
        ContainerId::new(&text).ok()
    }
}

impl<'a> Place<'a> {
    fn last(&self) -> &'a str {
        self.parts.last().copied().unwrap_or_default()
    }

    fn parents(&self) -> &'a [&'a str] {
        &self.parts[..self.parts.len() - 1]
    }
}

/// Whether `text` is the id of a container in full.
fn is_digits(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// `docker-DIGITS.scope`, `libpod-DIGITS.scope`, …: the systemd drivers of the
/// runtimes; and `crio-DIGITS`, `libpod-DIGITS`: what two call it without systemd.
/// `crio-conmon-DIGITS` and the like are the runtime's own and none of these.
fn scope(place: &Place<'_>) -> Option<Match> {
    let name = place.last();
    let name = name.strip_suffix(".scope").unwrap_or(name);
    let (runtime, digits) = name.rsplit_once('-')?;
    let runtime = match runtime {
        "docker" => "docker",
        "libpod" => "podman",
        "cri-containerd" | "nerdctl" => "containerd",
        "crio" => "cri-o",
        _ => return None,
    };
    is_digits(digits).then(|| Match::Digits(runtime, digits.to_owned()))
}

/// `…/DIGITS`: Docker's and containerd's cgroupfs drivers, whatever the parent.
fn digits(place: &Place<'_>) -> Option<Match> {
    let digits = place.last();
    if !is_digits(digits) {
        return None;
    }
    let of_containerd =
        |part: &&str| part.starts_with("kubepods") || *part == "default" || *part == "k8s.io";
    let runtime = if place.parents().iter().any(of_containerd) {
        "containerd"
    } else {
        "docker"
    };
    Some(Match::Digits(runtime, digits.to_owned()))
}

/// `slurm/uid_1000/job_7/step_0` (v1) and `slurmstepd.scope/job_7/step_0` (v2); tasks belong to it.
fn slurm_step(place: &Place<'_>) -> Option<Match> {
    let step = place.last().strip_prefix("step_")?;
    let (job, above) = place.parents().split_last()?;
    let job = job.strip_prefix("job_")?;
    let number = !job.is_empty() && job.bytes().all(|b| b.is_ascii_digit());
    let slurm = above.iter().any(|part| part.contains("slurm"));
    (number && slurm).then(|| {
        let name = format!("slurm-{job}.{step}");
        Match::Name("slurm", name.clone(), name)
    })
}

/// `lxc/NAME`, `lxc.payload/NAME`, `lxc.payload.NAME`; `lxc.monitor…` is LXC's own.
fn lxc(place: &Place<'_>) -> Option<Match> {
    let last = place.last();
    let name = match place.parents() {
        [] => last.strip_prefix("lxc.payload.")?,
        ["lxc" | "lxc.payload"] => last,
        _ => return None,
    };
    (!name.is_empty()).then(|| Match::Name("lxc", name.to_owned(), name.to_owned()))
}

/// A service or scope of systemd; those of a user are told apart by the user.
fn unit(place: &Place<'_>) -> Option<Match> {
    let name = place.last();
    if !name.ends_with(".service") && !name.ends_with(".scope") {
        return None;
    }
    let of_user = |part: &&&str| part.starts_with("user@") && part.ends_with(".service");
    let unique = match place.parents().iter().find(of_user) {
        Some(user) => format!("{user}:{name}"),
        None => name.to_owned(),
    };
    Some(Match::Name("systemd", unique, name.to_owned()))
}

/// The uid in `pod1234-…`, `kubepods-besteffort-pod1234_….slice`.
fn pod_uid(part: &str) -> Option<String> {
    let part = part.strip_suffix(".slice").unwrap_or(part);
    let (before, uid) = part.rsplit_once("pod")?;
    let kubernetes = before.is_empty() || (before.starts_with("kubepods") && before.ends_with('-'));
    let hex = |b: u8| b.is_ascii_hexdigit() || b == b'-' || b == b'_';
    (kubernetes && uid.len() >= 32 && uid.bytes().all(hex)).then(|| uid.replace('_', "-"))
}

#[cfg(test)]
#[path = "rule_tests.rs"]
mod tests;
