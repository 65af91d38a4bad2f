// The whole system as the README says to use it, in a real Docker daemon: the images of the
// server and the agent, and beside them containers whose program knows what it does.

import { execFile, execFileSync } from "node:child_process";
import { createServer, type AddressInfo } from "node:net";

const HERE = `bubble-e2e-${process.pid}`;

/** What the workload says it did: see xtask/workload/src/truth.rs. */
export interface Truth {
  files: { path: string; read: Flow; written: Flow; opens: number }[];
  connections: { local: string; peer: string; received: Flow; sent: Flow }[];
  processes: { args: string[]; cpu_ns: number | null }[];
  pulses: { at_ns: number; path: string }[];
}
export interface Flow {
  bytes: number;
  operations: number;
}

export function docker(...words: string[]): string {
  try {
    return execFileSync("docker", words, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim();
  } catch (error) {
    throw new Error(`docker ${words.join(" ")}: ${(error as { stderr?: string }).stderr ?? error}`);
  }
}

/** A container of the workload. */
export class Container {
  private constructor(private readonly full: string) {}

  static create(...work: string[]): Container {
    return new Container(docker("create", "bubble-workload", ...work));
  }

  /** By which the server knows it. */
  get id(): string {
    return this.full.slice(0, 12);
  }

  get address(): string {
    return docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", this.full);
  }

  /** Starts it, and gives what it printed when it ended. */
  run(): Promise<{ truth: Truth; code: number }> {
    return new Promise((resolve, reject) => {
      execFile("docker", ["start", "--attach", this.full], { maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
        const code = error === null ? 0 : error.code;
        if (typeof code !== "number" || stdout === "") reject(new Error(`the workload ended with ${code}: ${stderr}`));
        else resolve({ truth: JSON.parse(stdout) as Truth, code });
      });
    });
  }

  /** Waits until it says that it listens. */
  async listening(): Promise<void> {
    for (let tries = 0; tries < 200; tries++) {
      const said = execFileSync("sh", ["-c", `docker logs ${this.full} 2>&1`], { encoding: "utf8" });
      if (said.includes("listening on")) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error("the workload does not listen");
  }

  remove(): void {
    docker("rm", "--force", this.full);
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const listener = createServer().once("error", reject);
    listener.listen(0, "127.0.0.1", () => {
      const { port } = listener.address() as AddressInfo;
      listener.close(() => resolve(port));
    });
  });
}

/** Server and agent, each in a container: with SQLite, or on the store that BUBBLE_STORE names. */
export class System {
  private readonly server = `${HERE}-server`;
  private readonly agent = `${HERE}-agent`;
  url = "";

  async start(): Promise<void> {
    // Cassandra's nodes are on the host's own loopback addresses: server and agent then, too.
    const store = process.env.BUBBLE_STORE ?? "";
    const network = store === "" ? [] : ["--network", "host"];
    if (store === "") {
      docker("run", "--detach", "--name", this.server, "--publish", "127.0.0.1::8080", "bubble-server");
      this.url = `http://${docker("port", this.server, "8080/tcp").split("\n")[0]}`;
    } else {
      const listen = `127.0.0.1:${await freePort()}`;
      const settings = [...network, "--env", `BUBBLE_STORE=${store}`, "--env", `BUBBLE_LISTEN=${listen}`];
      docker("run", "--rm", ...settings, "bubble-server", "db", "init", "--replication", "1");
      docker("run", "--detach", "--name", this.server, ...settings, "bubble-server");
      this.url = `http://${listen}`;
    }
    const key = this.tell("key", "create", "--owner", "me");
    const address = docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", this.server);
    const server = store === "" ? `http://${address}:8080` : this.url;
    const run = (...privileges: string[]): string =>
      docker("run", "--detach", "--name", this.agent, ...network, ...privileges, "--pid", "host",
        "--volume", "/var/run/docker.sock:/var/run/docker.sock",
        "bubble-agent", "--server", server, "--api", key);
    try {
      run("--privileged");
    } catch (error) {
      // Docker cannot give what it does not have: there are hosts where root is without this one.
      const why = /docker: Error .*operation not permitted.*/.exec(String(error));
      if (why === null) throw error;
      console.log(`this host refuses --privileged (${why[0]}): all but SYS_RESOURCE instead`);
      docker("rm", "--force", this.agent);
      run("--cap-add", "ALL", "--cap-drop", "SYS_RESOURCE", "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined");
    }
    await this.heard();
  }

  /** Waits until the agent has reported: what ran before is not its to count. */
  private async heard(): Promise<void> {
    const headers = { authorization: `Bearer ${this.token("--admin")}` };
    for (let tries = 0; tries < 300; tries++) {
      const answer = await fetch(`${this.url}/api/v1/hosts`, { headers }).catch(() => null);
      if (answer?.ok && ((await answer.json()) as { hosts: unknown[] }).hosts.length > 0) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`the server has not heard of the agent; they said:\n${this.said()}`);
  }

  token(...of: string[]): string {
    return this.tell("token", ...of);
  }

  /** What both logged, for when it goes wrong. */
  said(): string {
    return [this.server, this.agent].map((name) => execFileSync("sh", ["-c", `docker logs --tail 20 ${name} 2>&1`], { encoding: "utf8" })).join("\n");
  }

  stop(): void {
    for (const name of [this.agent, this.server]) {
      try {
        docker("rm", "--force", "--volumes", name);
      } catch {
        // It was not started.
      }
    }
  }

  private tell(...words: string[]): string {
    return docker("exec", this.server, "/bubble-server", ...words);
  }
}
