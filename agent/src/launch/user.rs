//! The user that the command runs as.
//!
//! The agent counts as root, but the command belongs to who asked: under `sudo bubble-agent run` that
//! is the user of sudo. In a shell that sudo has started it is the user of that shell.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use anyhow::{Context as _, Result, bail};

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";

/// Variables that sudo sets, which are not those of the user.
const OF_SUDO: [&str; 5] = [
    "SUDO_UID",
    "SUDO_GID",
    "SUDO_USER",
    "SUDO_COMMAND",
    "SUDO_HOME",
];

/// A user, with what a process of theirs has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    /// User id.
    pub(super) uid: libc::uid_t,
    /// Primary group.
    pub(super) gid: libc::gid_t,
    /// All groups.
    pub(super) groups: Vec<libc::gid_t>,
    name: String,
    home: OsString,
}

impl User {
    /// The user that the command runs as: `wanted`, or who asked under sudo. `None`: as the agent.
    ///
    /// # Errors
    /// When there is no such user, or the agent may not become it.
    pub(super) fn choose(wanted: Option<&str>) -> Result<Option<Self>> {
        let is_root = crate::live::is_root();
        let variable = |name: &str| std::env::var(name).ok();
        let user = match wanted {
            Some(wanted) => Self::find(wanted)?,
            None if is_root && is_below_sudo(variable("SUDO_COMMAND"), &own_name()) => {
                match Self::of_sudo()? {
                    Some(user) => user,
                    None => return Ok(None),
                }
            }
            None => return Ok(None),
        };
        if user.uid == rustix::process::getuid().as_raw() {
            return Ok(None);
        }
        if !is_root {
            bail!("only root may run a command as another user: leave out --user, or use sudo");
        }
        Ok(Some(user))
    }

    /// The user of this name or number, if /etc/passwd has one.
    ///
    /// The C library would load modules for other databases, which a static program cannot.
    fn look_up(text: &str) -> Result<Option<Self>> {
        let passwd = read(PASSWD)?;
        let uid = text.parse::<libc::uid_t>().ok();
        let is_wanted = |user: &Self| user.name == text || Some(user.uid) == uid;
        let Some(mut user) = passwd.lines().filter_map(user_of).find(is_wanted) else {
            return Ok(None);
        };
        let group = read(GROUP)?;
        let others = group.lines().filter_map(|line| group_of(line, &user.name));
        user.groups.extend(others.filter(|gid| *gid != user.gid));
        Ok(Some(user))
    }

    /// The user of this name or number.
    fn find(text: &str) -> Result<Self> {
        Self::look_up(text)?.with_context(|| {
            format!("there is no user {text:?} in {PASSWD}: give a name or a number that is in it")
        })
    }

    /// The user who ran sudo, who may be in another database than /etc/passwd. `None`: sudo does not say.
    fn of_sudo() -> Result<Option<Self>> {
        let variable = |name: &str| std::env::var(name).ok();
        let (Some(uid), Some(gid)) = (variable("SUDO_UID"), variable("SUDO_GID")) else {
            return Ok(None);
        };
        if let Some(user) = Self::look_up(&uid)? {
            return Ok(Some(user));
        }
        let number = |text: &str| {
            text.parse()
                .with_context(|| format!("{text:?} is no number"))
        };
        let gid = number(&gid)?;
        Ok(Some(Self {
            uid: number(&uid)?,
            gid,
            groups: vec![gid],
            name: variable("SUDO_USER").unwrap_or_default(),
            home: std::env::var_os("SUDO_HOME").unwrap_or_else(|| "/".into()),
        }))
    }

    /// Variables that the command gets instead of the agent's, or without a value not at all.
    pub(super) fn variables(&self) -> Vec<(&'static str, Option<&OsStr>)> {
        let name = OsStr::new(&self.name);
        let mut variables = vec![
            ("HOME", Some(self.home.as_os_str())),
            ("USER", Some(name)),
            ("LOGNAME", Some(name)),
        ];
        variables.extend(OF_SUDO.map(|name| (name, None)));
        variables
    }
}

/// Name of the program that runs.
fn own_name() -> OsString {
    let path = std::env::current_exe().unwrap_or_default();
    path.file_name().unwrap_or_default().to_owned()
}

/// Whether sudo has started this program, and not a shell that has started it.
fn is_below_sudo(command: Option<String>, own_name: &OsStr) -> bool {
    let command = command.unwrap_or_default();
    let program = command.split(' ').next().unwrap_or_default();
    !own_name.is_empty() && Path::new(program).file_name() == Some(own_name)
}

/// The fields of a line of /etc/passwd or /etc/group: passwd(5), group(5).
fn fields(line: &str) -> Vec<&str> {
    line.split(':').collect()
}

/// The user in a line of /etc/passwd, without groups but the first.
fn user_of(line: &str) -> Option<User> {
    let [name, _, uid, gid, _, home, _] = fields(line)[..] else {
        return None;
    };
    let gid = gid.parse().ok()?;
    Some(User {
        uid: uid.parse().ok()?,
        gid,
        groups: vec![gid],
        name: name.to_owned(),
        home: home.into(),
    })
}

/// The group in a line of /etc/group, if the user `name` is a member.
fn group_of(line: &str, name: &str) -> Option<libc::gid_t> {
    let [_, _, gid, members] = fields(line)[..] else {
        return None;
    };
    let is_member = members.split(',').any(|member| member == name);
    gid.parse().ok().filter(|_| is_member)
}

/// A file of the user database. Bytes that are not UTF-8 are in no field that is used.
fn read(path: &str) -> Result<String> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {path}"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::{User, group_of, is_below_sudo, user_of};

    #[test]
    fn a_shell_of_sudo_is_who_asked() {
        let own = OsStr::new("bubble-agent");
        let below = |command: &str| is_below_sudo(Some(command.to_owned()), own);
        assert!(below("/usr/bin/bubble-agent run -- make"));
        assert!(below("./bubble-agent run -- make"));
        assert!(!below("/bin/bash") && !below("") && !is_below_sudo(None, own));
        assert!(!below("/bin/sh /usr/bin/bubble-agent"));
    }

    #[test]
    fn lines_of_the_database_are_parsed() {
        let user = user_of("ann:x:1000:100:Ann,,,:/home/ann:/bin/sh").expect("a user");
        assert_eq!((user.uid, user.gid, &user.name[..]), (1000, 100, "ann"));
        assert_eq!(user.home, "/home/ann");
        assert_eq!(group_of("wheel:x:10:bob,ann", "ann"), Some(10));
        assert_eq!(group_of("wheel:x:10:bob,anna", "ann"), None);
        for line in ["", "ann", "ann:x:-1:100::/:/bin/sh", "a:b:c:d:e:f:g:h"] {
            assert!(user_of(line).is_none(), "{line}");
            assert_eq!(group_of(line, "ann"), None);
        }
    }

    #[test]
    fn users_are_found_by_name_and_number() {
        let root = User::find("root").unwrap();
        assert_eq!((root.uid, root.gid), (0, 0));
        assert!(root.groups.contains(&0), "{root:?}");
        assert_eq!(User::find("0").unwrap(), root);
        let variables = root.variables();
        assert!(variables.contains(&("USER", Some(OsStr::new("root")))));
        assert!(variables.contains(&("SUDO_UID", None)));
        for unknown in ["no such user", "4294967290", "a\0b", ""] {
            let error = User::find(unknown).unwrap_err().to_string();
            assert!(error.contains("there is no user"), "{error}");
        }
    }
}
