use super::forms::{FORMS, NO_CONTAINERS};
use super::{Found, Rules, UserRule, user_of};
use crate::container::glob::Glob;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const INNER: &str = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";

fn rules() -> Rules {
    Rules {
        host: "node7".to_owned(),
        ..Rules::default()
    }
}

fn find(path: &str) -> Option<Found> {
    rules().find(&path.replace("ID", ID).replace("INNER", INNER))
}

/// Asserts id, runtime and own cgroup of the container at `path`.
#[track_caller]
fn check(path: &str, id: &str, runtime: &str, own: &str) {
    let found = find(path).unwrap_or_else(|| panic!("no container owns {path}"));
    assert_eq!(found.id.as_str(), id, "{path}");
    assert_eq!(found.runtime, runtime, "{path}");
    assert_eq!(found.path, own.replace("ID", ID).replace("INNER", INNER));
}

const POD: &str = "8b2b9a0f-2c1c-4d55-9ec3-7b2f6f1d2a10";

/// A path of the table, with its placeholders filled in.
fn filled(path: &str) -> String {
    path.replace("UID_", &POD.replace('-', "_"))
        .replace("UID", POD)
        .replace("INNER", INNER)
        .replace("ID", ID)
}

#[test]
fn every_form() {
    for form in FORMS {
        let (own, below) = form.path.split_once('|').unwrap();
        let (own, below) = (filled(own), filled(below));
        for path in [own.clone(), format!("{own}{below}"), format!("{own}/x")] {
            let found = rules().find(&path);
            let found = found.unwrap_or_else(|| panic!("no container owns {path}"));
            assert_eq!(found.runtime, form.runtime, "{path}");
            assert_eq!(found.path, own, "{path}");
            assert_eq!(
                found.id.as_str(),
                form.id.replace("SHORT", &ID[..12]),
                "{path}"
            );
            let has_pod = form.path.contains("podUID");
            assert_eq!(found.pod.as_deref(), has_pod.then_some(POD), "{path}");
        }
    }
}

#[test]
fn runtimes_own_cgroups_are_no_containers() {
    for (path, _) in NO_CONTAINERS {
        assert_eq!(rules().find(&filled(path)), None, "{path}");
    }
}

#[test]
fn the_documentation_has_every_form() {
    let docs = include_str!("../../../../../docs/containers.md");
    for form in FORMS {
        let path = form.path.replace('|', "¦");
        let row = format!("| {} | `{path}` | {} |\n", form.runtime, form.source);
        assert!(docs.contains(&row), "{row}");
    }
    for (path, what) in NO_CONTAINERS {
        let row = format!("| `{path}` | {what} |\n");
        assert!(docs.contains(&row), "{row}");
    }
}

#[test]
fn names_are_unique_within_users_and_containers() {
    let id = |path: &str| rules().find(&filled(path)).unwrap().id.as_str().to_owned();
    assert_ne!(
        id("/lxc.payload.web"),
        id("/user.slice/user-7.slice/x.scope/lxc.payload.web")
    );
    assert_ne!(
        id("/docker/ID/slurm/uid_0/job_1/step_0"),
        id("/docker/INNER/slurm/uid_0/job_1/step_0")
    );
    assert_ne!(
        id("/lxc/web"),
        id("/machine.slice/systemd-nspawn@web.service")
    );
    let job = rules().find("/slurm/uid_0/job_42/step_0").unwrap().job;
    assert_eq!(job.as_deref(), Some("42"));
}

#[test]
fn docker() {
    check("/docker/ID", "0123456789ab", "docker", "/docker/ID");
    let scope = "/system.slice/docker-ID.scope";
    check(scope, "0123456789ab", "docker", scope);
    let rootless = "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-ID.scope";
    check(rootless, "0123456789ab", "docker", rootless);
    check("/batch/jobs/ID", "0123456789ab", "docker", "/batch/jobs/ID");
    assert_eq!(find("/docker/ID").unwrap().full_id.as_deref(), Some(ID));
}

#[test]
fn below_a_container_is_the_container() {
    check(
        "/docker/ID/init.scope",
        "0123456789ab",
        "docker",
        "/docker/ID",
    );
    check("/docker/ID/a/b/c", "0123456789ab", "docker", "/docker/ID");
}

#[test]
fn docker_in_docker_is_two() {
    let inner =
        "/docker/ID/docker/fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";
    check(inner, "fedcba987654", "docker", inner);
    check("/docker/ID/docker", "0123456789ab", "docker", "/docker/ID");
}

#[test]
fn podman() {
    let own = "/machine.slice/libpod-ID.scope";
    check(own, "0123456789ab", "podman", own);
    check(&format!("{own}/container"), "0123456789ab", "podman", own);
    check(
        "/libpod_parent/libpod-ID",
        "0123456789ab",
        "podman",
        "/libpod_parent/libpod-ID",
    );
    assert_eq!(find("/machine.slice/libpod-conmon-ID.scope"), None);
}

#[test]
fn kubernetes() {
    let pod = "8b2b9a0f-2c1c-4d55-9ec3-7b2f6f1d2a10";
    let slice = format!(
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{}.slice",
        pod.replace('-', "_")
    );
    for (name, runtime) in [
        ("cri-containerd", "containerd"),
        ("crio", "cri-o"),
        ("docker", "docker"),
    ] {
        let own = format!("{slice}/{name}-ID.scope");
        check(&own, "0123456789ab", runtime, &own);
        assert_eq!(find(&own).unwrap().pod.as_deref(), Some(pod));
    }
    assert_eq!(find(&format!("{slice}/crio-conmon-ID.scope")), None);
    assert_eq!(find(&slice), None);
    let own = format!("/kubepods/besteffort/pod{pod}/ID");
    check(&own, "0123456789ab", "containerd", &own);
    assert_eq!(find(&own).unwrap().pod.as_deref(), Some(pod));
    check(
        &format!("/kubepods/pod{pod}/crio-ID"),
        "0123456789ab",
        "cri-o",
        &format!("/kubepods/pod{pod}/crio-ID"),
    );
}

#[test]
fn slurm() {
    let v1 = "/slurm/uid_1000/job_77/step_0";
    check(v1, "slurm-77.0@node7", "slurm", v1);
    check(&format!("{v1}/task_3"), "slurm-77.0@node7", "slurm", v1);
    let v2 = "/system.slice/slurmstepd.scope/job_77/step_batch";
    check(
        &format!("{v2}/user/task_0"),
        "slurm-77.batch@node7",
        "slurm",
        v2,
    );
    assert_eq!(find("/slurm/uid_1000/job_77"), None);
    assert_eq!(find("/other/job_77/step_0"), None);
    assert_eq!(find("/slurm/job_x/step_0"), None);
}

#[test]
fn lxc() {
    check("/lxc/web", "web@node7", "lxc", "/lxc/web");
    check(
        "/lxc.payload.web/init.scope",
        "web@node7",
        "lxc",
        "/lxc.payload.web",
    );
    check("/lxc.payload/web", "web@node7", "lxc", "/lxc.payload/web");
    assert_eq!(find("/lxc.monitor.web"), None);
    assert_eq!(find("/lxc"), None);
}

#[test]
fn units_only_when_asked_for() {
    let path = "/system.slice/cron.service";
    assert_eq!(find(path), None);
    let rules = Rules {
        systemd: true,
        ..rules()
    };
    let found = rules.find(path).unwrap();
    assert_eq!(found.id.as_str(), "cron.service@node7");
    assert_eq!(found.name.as_deref(), Some("cron.service"));
    let user = "/user.slice/user-1.slice/user@1.service/app.slice/x.service";
    assert_eq!(
        rules.find(user).unwrap().id.as_str(),
        "user@1.service:x.service@node7"
    );
    // Units inside a container belong to the container.
    let inside = format!("/docker/{ID}/system.slice/cron.service");
    assert_eq!(rules.find(&inside).unwrap().runtime, "docker");
    // The scope that a runtime creates for a container is not a unit.
    let scope = format!("/system.slice/docker-{ID}.scope");
    assert_eq!(rules.find(&scope).unwrap().runtime, "docker");
}

#[test]
fn rules_of_the_user() {
    let rules = Rules {
        user: vec![
            UserRule {
                pattern: Glob::new("/batch/*"),
                name: None,
            },
            UserRule {
                pattern: Glob::new("/demo"),
                name: Some("the demo".to_owned()),
            },
        ],
        ..rules()
    };
    let found = rules.find("/batch/one/deep").unwrap();
    assert_eq!(found.id.as_str(), "batch:one@node7");
    assert_eq!(
        (found.path.as_str(), found.name.as_deref()),
        ("/batch/one", Some("one"))
    );
    assert_eq!(
        rules.find("/demo").unwrap().name.as_deref(),
        Some("the demo")
    );
    assert_eq!(rules.find("/batch"), None);
}

#[test]
fn hostile_paths() {
    for path in [
        "",
        "/",
        "//",
        "/..",
        "/ID",
        "/docker/",
        "/docker/é",
        "/-.scope",
        "/step_",
        "/podé",
    ] {
        let _ = find(path);
    }
    let rules = Rules {
        systemd: true,
        host: "a host/é".to_owned(),
        ..Rules::default()
    };
    let one = rules.find("/a b.service").unwrap().id;
    let two = rules.find("/a?b.service").unwrap().id;
    assert_ne!(one, two);
    assert!(
        rules
            .find(&format!("/{}.service", "x".repeat(4000)))
            .is_some()
    );
}

#[test]
fn the_host() {
    assert_eq!(rules().host().unwrap().id.as_str(), "host@node7");
}

/// Who owns the cgroups above can make a cgroup of any name, so the id says whose it is.
#[test]
fn a_user_cannot_take_the_id_of_another_container() {
    let systemd = Rules {
        systemd: true,
        user: vec![UserRule {
            pattern: Glob::new("/batch/*"),
            name: None,
        }],
        ..rules()
    };
    for (path, id) in [
        ("/a/docker-ID.scope", "user-7:0123456789ab@node7"),
        (
            "/user.slice/user-7.slice/user@7.service/libpod-ID.scope",
            "user-7:0123456789ab@node7",
        ),
        (
            "/user.slice/user-7.slice/user@7.service/lxc.payload.web",
            "user-7:web@node7",
        ),
        // Another user's folders, which this user has made.
        ("/a/user-8.slice/lxc.payload.web", "user-7:user-8:web@node7"),
        (
            "/a/user@8.service/x.service",
            "user-7:user@8.service:x.service@node7",
        ),
        (
            "/user.slice/user-7.slice/user@7.service/x.service",
            "user@7.service:x.service@node7",
        ),
        ("/a/cron.service", "user-7:cron.service@node7"),
        // The administrator's rule has the whole path in its id.
        ("/batch/one", "batch:one@node7"),
    ] {
        let found = systemd.find(&filled(path)).unwrap();
        let found = systemd.of_user(found, 7).unwrap();
        assert_eq!((found.id.as_str(), found.user), (id, Some(7)), "{path}");
    }
    let of_docker = systemd.digits_of_user(ID, 7).unwrap();
    assert_eq!(of_docker.as_str(), "user-7:0123456789ab@node7");
    assert_eq!(user_of("/user.slice/user@1000.service/x"), Some(1_000));
    assert_eq!(user_of("/user.slice/user@0.service/x"), None);
}
