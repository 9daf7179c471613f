//! [`Browser`]: a real Chromium, driven as a person would.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use fantoccini::elements::Element;
use fantoccini::wd::{TimeoutConfiguration, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use http::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use crate::process::Process;
use crate::suite::target_dir;

/// Whatever is waited for in a browser.
const WITHIN: Duration = Duration::from_secs(30);

/// A browser with a profile of its own: what it keeps is there when it is opened again. It is
/// ended with this, also where a test fails.
///
/// What it is asked for it waits for, at most 30 s, and then panics with what the page shows and
/// what the browser has logged: it is for tests and benches alone.
pub struct Browser {
    client: Client,
    debugger: u16,
    running: Running,
    _driver: Process,
}

/// How a browser is opened.
#[derive(Clone, Debug)]
pub struct Opens {
    /// Which the person reads, such as `ko`.
    pub language: &'static str,
    /// The window's width and height, in CSS pixels.
    pub size: (u32, u32),
}

impl Default for Opens {
    fn default() -> Self {
        Self { language: "en", size: (1280, 900) }
    }
}

impl Browser {
    /// Opens one that keeps what it keeps in `profile`.
    ///
    /// # Panics
    /// Where it can't be started.
    pub async fn open(profile: &Path, opens: &Opens) -> Self {
        let mut driver = Command::new("chromedriver");
        driver.arg("--port=0");
        let mut driver = Process::start(driver).unwrap();
        let port = driver.wait_for_line(WITHIN, |line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        let arguments = vec![
            "--headless=new".to_owned(),
            // The suite runs as root, in a container.
            "--no-sandbox".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-gpu".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--hide-scrollbars".to_owned(),
            "--force-color-profile=srgb".to_owned(),
            format!("--lang={}", opens.language),
            format!("--window-size={},{}", opens.size.0, opens.size.1),
            format!("--user-data-dir={}", profile.display()),
        ];
        let options = json!({
            "goog:chromeOptions": {
                "args": arguments,
                "prefs": { "intl.accept_languages": opens.language },
            },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let Value::Object(capabilities) = options else { unreachable!("it is an object") };
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities);
        let url = format!("http://127.0.0.1:{}", port.unwrap());
        let client = builder.connect(&url).await.unwrap();
        let pid = client.capabilities().and_then(|all| all.get("goog:processID")?.as_u64());
        let pid = u32::try_from(pid.expect("chromedriver says which process it is")).unwrap();
        let waits = TimeoutConfiguration::new(Some(WITHIN), Some(WITHIN), None);
        client.update_timeouts(waits).await.unwrap();
        let running = Running { pid, profile: profile.display().to_string() };
        let debugger = client.capabilities().and_then(|all| {
            let address = all.get("goog:chromeOptions")?.get("debuggerAddress")?.as_str()?;
            address.rsplit_once(':')?.1.parse().ok()
        });
        let debugger = debugger.expect("chromedriver says where it listens");
        Self { client, debugger, running, _driver: driver }
    }

    /// Closes it, as a person would.
    pub async fn close(self) {
        self.client.clone().close().await.unwrap();
    }

    /// Ends it this instant, without a chance to write anything down.
    pub fn kill(self) {
        drop(self.running);
    }

    /// The port of its developer tools, for another program to look at what it has.
    #[must_use]
    pub const fn debugger_port(&self) -> u16 {
        self.debugger
    }

    /// Loads an address.
    pub async fn go(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// Loads the page again.
    pub async fn reload(&self) {
        self.client.refresh().await.unwrap();
    }

    /// What a script of ours returns.
    pub async fn eval(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// What a promise of a script of ours comes to.
    pub async fn promise(&self, script: &str) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1]; \
             (async () => {{ {script} }})().then(done, (why) => done('failed: ' + why));"
        );
        self.client.execute_async(&script, Vec::new()).await.unwrap()
    }

    /// Waits until the page says so.
    pub async fn sees(&self, text: &str) {
        let script = "return document.body.innerText.includes(arguments[0])";
        let wanted = async || {
            self.client.execute(script, vec![json!(text)]).await.is_ok_and(|yes| yes == json!(true))
        };
        assert!(until(wanted).await, "`{text}` is not on {}", self.says().await);
    }

    /// What a failed test says of the page: its text, and the browser's log.
    async fn says(&self) -> String {
        let shown = self.eval("return location.href + ': ' + document.body.innerText").await;
        let log = self.client.issue_cmd(Log).await.unwrap_or_default();
        format!("the page {}\n{log:#}", shown.as_str().unwrap_or("-"))
    }

    /// Waits until the page says so no more.
    pub async fn sees_no_more(&self, text: &str) {
        let script = "return document.body.innerText.includes(arguments[0])";
        let wanted = async || {
            self.client
                .execute(script, vec![json!(text)])
                .await
                .is_ok_and(|yes| yes == json!(false))
        };
        assert!(until(wanted).await, "`{text}` is still on {}", self.says().await);
    }

    /// Waits until a script says yes.
    pub async fn until(&self, what: &str, script: &str) {
        let wanted = async || {
            self.client.execute(script, Vec::new()).await.is_ok_and(|yes| yes == json!(true))
        };
        assert!(until(wanted).await, "{what}: not within {WITHIN:?} on {}", self.says().await);
    }

    /// Touches what is named so: a button, a link, a summary.
    pub async fn click(&self, name: &str) {
        let named = format!(
            "//*[self::button or self::a or self::summary]\
             [normalize-space(.)={name:?} or @aria-label={name:?}]"
        );
        self.touch(&named, name).await;
    }

    /// As [`Self::click`], within what holds this text: an entry of a list.
    pub async fn click_in(&self, text: &str, name: &str) {
        let named = format!("//li[contains(., {text:?})]//button[normalize-space(.)={name:?}]");
        self.touch(&named, name).await;
    }

    /// Touches the button of a form, and not the tab of the same name.
    pub async fn submit(&self, name: &str) {
        self.touch(&format!("//form//button[normalize-space(.)={name:?}]"), name).await;
    }

    /// Waits until something is so that the browser does not show.
    pub async fn until_async(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        assert!(until(is_so).await, "{what}: not within {WITHIN:?}: {}", self.says().await);
    }

    /// Types into the field of this label, or that a person hears called so; and again where
    /// the page has put something there meanwhile, as a person would.
    pub async fn fill(&self, label: &str, text: &str) {
        let filled = tokio::time::timeout(WITHIN, async {
            while !self.fills(label, text).await {
                tokio::time::sleep(AGAIN).await;
            }
        });
        assert!(filled.await.is_ok(), "`{label}` does not take {text:?} on {}", self.says().await);
    }

    /// Whether a field takes it; it may be drawn anew meanwhile.
    async fn fills(&self, label: &str, text: &str) -> bool {
        let field = self.field(label).await;
        if field.clear().await.is_err() || field.send_keys(text).await.is_err() {
            return false;
        }
        let value = field.prop("value").await.ok().flatten();
        value.is_none_or(|value| value.trim() == text.trim())
    }

    /// Types on in a field.
    pub async fn types(&self, label: &str, text: &str) {
        self.field(label).await.send_keys(text).await.unwrap();
    }

    async fn field(&self, label: &str) -> Element {
        let named = format!(
            "//*[self::input or self::textarea or self::select][@aria-label={label:?} or \
             ancestor::label[starts-with(normalize-space(.), {label:?})]]"
        );
        self.found(&named, label).await
    }

    async fn found(&self, xpath: &str, name: &str) -> Element {
        let mut found = None;
        let wanted = async || {
            let all = self.client.find_all(Locator::XPath(xpath)).await.unwrap_or_default();
            for one in all {
                if one.is_displayed().await.unwrap_or(false) {
                    return Some(one);
                }
            }
            None
        };
        let looked = tokio::time::timeout(WITHIN, async {
            while found.is_none() {
                found = wanted().await;
                if found.is_none() {
                    tokio::time::sleep(AGAIN).await;
                }
            }
        });
        let _ = looked.await;
        match found {
            Some(found) => found,
            None => {
                panic!("no `{name}` on {}", self.says().await);
            }
        }
    }

    /// Touches what an XPath finds; `name` is what a failed test calls it.
    pub async fn touch(&self, xpath: &str, name: &str) {
        let touched = tokio::time::timeout(WITHIN, async {
            // It may be drawn anew while it is touched.
            while self.found(xpath, name).await.click().await.is_err() {
                tokio::time::sleep(AGAIN).await;
            }
        });
        assert!(touched.await.is_ok(), "`{name}` can't be touched on {}", self.says().await);
    }

    /// A picture of the page, under `target/screens`.
    pub async fn picture(&self, name: &str) {
        let folder = target_dir().join("screens");
        std::fs::create_dir_all(&folder).unwrap();
        let picture = self.client.screenshot().await.unwrap();
        std::fs::write(folder.join(format!("{name}.png")), picture).unwrap();
    }

    /// Tells the browser something in the protocol of its developer tools.
    pub async fn tell(&self, command: &'static str, parameters: Value) -> Value {
        self.client.issue_cmd(DevTools { command, parameters }).await.unwrap()
    }

    /// Takes the network away from the page, or gives it back, as the browser's own switch.
    pub async fn network(&self, is_there: bool) {
        self.tell("Network.enable", json!({})).await;
        let conditions = json!({
            "offline": !is_there, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1,
        });
        self.tell("Network.emulateNetworkConditions", conditions).await;
    }

    /// A screen of this size, in CSS pixels.
    pub async fn size(&self, width: u32, height: u32) {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600,
        });
        self.tell("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Chooses a file where the page asks for one.
    pub async fn choose(&self, file: &Path) {
        let asks = Locator::Css("input[type=file]");
        let input = self.client.wait().at_most(WITHIN).for_element(asks).await.unwrap();
        input.send_keys(&file.display().to_string()).await.unwrap();
    }

    /// Where files go that the page gives the person.
    pub async fn downloads_into(&self, folder: &Path) {
        let behavior = json!({ "behavior": "allow", "downloadPath": folder });
        self.tell("Browser.setDownloadBehavior", behavior).await;
    }

    /// Light or dark, as the person's device has it.
    pub async fn scheme(&self, scheme: &str) {
        let scheme = json!({ "name": "prefers-color-scheme", "value": scheme });
        let still = json!({ "name": "prefers-reduced-motion", "value": "reduce" });
        self.tell("Emulation.setEmulatedMedia", json!({ "features": [scheme, still] })).await;
    }

    /// What axe-core (Deque) finds that keeps people out of the page.
    pub async fn violations(&self) -> Value {
        let axe = target_dir().join("npm/node_modules/axe-core/axe.min.js");
        let axe = std::fs::read_to_string(&axe).unwrap_or_else(|error| {
            panic!("{}: {error}; `cargo xtask test` fetches it", axe.display())
        });
        self.eval(&axe).await;
        let run = "const found = await axe.run(); return found.violations.map((one) => \
                   [one.id, one.help, one.nodes.map((node) => node.html + ' ' + node.failureSummary)])";
        self.promise(run).await
    }

    /// Opens another tab, and looks at it.
    pub async fn new_tab(&self) -> Tab {
        let opened = self.client.new_window(true).await.unwrap();
        self.client.switch_to_window(opened.handle.clone()).await.unwrap();
        Tab(opened.handle)
    }

    /// The tab that is looked at.
    pub async fn tab(&self) -> Tab {
        Tab(self.client.window().await.unwrap())
    }

    /// Looks at another tab.
    pub async fn look_at(&self, tab: &Tab) {
        self.client.switch_to_window(tab.0.clone()).await.unwrap();
    }

    /// Ends the process that shows the tab which is looked at.
    pub async fn crash_tab(&self) {
        // It can't answer any more.
        let _ =
            self.client.issue_cmd(DevTools { command: "Page.crash", parameters: json!({}) }).await;
    }
}

/// A tab of a browser.
pub struct Tab(fantoccini::wd::WindowHandle);

const AGAIN: Duration = Duration::from_millis(30);

async fn until(wanted: impl AsyncFn() -> bool) -> bool {
    let waited = tokio::time::timeout(WITHIN, async {
        while !wanted().await {
            tokio::time::sleep(AGAIN).await;
        }
    });
    waited.await.is_ok()
}

/// The browser itself, and not what drives it. It is ended with this, also where a test fails.
struct Running {
    pid: u32,
    profile: String,
}

impl Running {
    /// Whether it is there: under this number there may be another program by now, and one
    /// that has ended has no arguments.
    fn is_there(&self) -> bool {
        std::fs::read(format!("/proc/{}/cmdline", self.pid))
            .is_ok_and(|arguments| String::from_utf8_lossy(&arguments).contains(&self.profile))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let pid = i32::try_from(self.pid).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid.filter(|_| self.is_there()) {
            // It may have ended just now.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            // Its other processes end when they hear nothing of it.
            while self.is_there() {
                std::thread::yield_now();
            }
        }
    }
}

#[derive(Debug)]
struct DevTools {
    command: &'static str,
    parameters: Value,
}

impl WebDriverCompatibleCommand for DevTools {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (Method, Option<String>) {
        let body = json!({ "cmd": self.command, "params": self.parameters });
        (Method::POST, Some(body.to_string()))
    }
}

/// What the browser has logged.
#[derive(Debug)]
struct Log;

impl WebDriverCompatibleCommand for Log {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (Method, Option<String>) {
        (Method::POST, Some(json!({ "type": "browser" }).to_string()))
    }
}
