//! Where the collector is: OpenTelemetry's own variables, as every other program takes them
//! (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/>). `OTEL_EXPORTER_OTLP_HEADERS` and its kind are read by the
//! exporter itself.

use std::fmt;

use opentelemetry_otlp::{RetryPolicy, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanExporter as _;

use super::queue::Client;
use crate::failure::Failure;

/// The path of traces under a collector's address.
const PATH: &str = "/v1/traces";

/// What to tell, and to whom.
#[derive(Clone)]
pub struct Settings {
    /// Where traces are posted. It may hold a password.
    pub endpoint: String,
    /// Which share of them, 0 to 1.
    pub ratio: f64,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("ratio", &self.ratio)
            .finish_non_exhaustive()
    }
}

/// The settings of the process; `None` where no collector is named.
///
/// # Errors
/// When they cannot be understood; says which and what to write.
pub fn from_environment() -> Result<Option<Settings>, Failure> {
    read(|name| std::env::var(name).ok().filter(|value| !value.trim().is_empty()))
}

fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Settings>, Failure> {
    let is = |name: &str, word: &str| variable(name).is_some_and(|value| value.eq_ignore_ascii_case(word));
    if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
        return Ok(None);
    }
    let endpoint = variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").or_else(|| {
        // https://opentelemetry.io/docs/specs/otel/protocol/exporter/#endpoint-urls-for-otlphttp
        let base = variable("OTEL_EXPORTER_OTLP_ENDPOINT")?;
        Some(format!("{}{PATH}", base.trim().trim_end_matches('/')))
    });
    let Some(endpoint) = endpoint else { return Ok(None) };
    for name in [
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
    ] {
        if let Some(protocol) = variable(name)
            && protocol != "http/protobuf"
        {
            return Err(Failure::new(
                format!("{name} is `{protocol}`, and traces are sent as http/protobuf only"),
                "name the collector's port for OTLP over HTTP (4318, usually) and take the variable out",
            ));
        }
    }
    let url = url::Url::parse(&endpoint).ok();
    let Some(url) = url.filter(|url| matches!(url.scheme(), "http" | "https")) else {
        // It may hold a password: it is not shown.
        return Err(Failure::new(
            "the address of the collector of traces (OTEL_EXPORTER_OTLP_ENDPOINT) is not a web address",
            "write it as http://localhost:4318",
        ));
    };
    let ratio = ratio(
        variable("OTEL_TRACES_SAMPLER").as_deref(),
        variable("OTEL_TRACES_SAMPLER_ARG").as_deref(),
    )?;
    // As it was understood: the exporter would refuse, and show, what is written otherwise.
    let endpoint = url.to_string();
    Ok(Some(Settings { endpoint, ratio }))
}

/// Nobody above us decides, so that a sampler with a parent is the one without.
fn ratio(sampler: Option<&str>, argument: Option<&str>) -> Result<f64, Failure> {
    match sampler {
        None | Some("always_on" | "parentbased_always_on") => Ok(1.0),
        Some("always_off" | "parentbased_always_off") => Ok(0.0),
        Some("traceidratio" | "parentbased_traceidratio") => {
            let ratio: f64 = argument.unwrap_or("1.0").parse().unwrap_or(f64::NAN);
            if (0.0..=1.0).contains(&ratio) {
                return Ok(ratio);
            }
            Err(Failure::new(
                "OTEL_TRACES_SAMPLER_ARG is no share of traces",
                "write a number from 0 to 1, as in 0.05",
            ))
        }
        Some(other) => Err(Failure::new(
            format!("OTEL_TRACES_SAMPLER is `{other}`, which is no sampler known here"),
            "write always_on, always_off or traceidratio",
        )),
    }
}

impl Settings {
    /// The exporter to that collector.
    ///
    /// # Errors
    /// When it cannot be set up; says what to do.
    pub fn exporter(&self, node: &str) -> Result<SpanExporter, Failure> {
        // What is wrong is not shown: it repeats the address, and headers.
        let failed = || {
            Failure::new(
                "the way to the collector of traces cannot be set up",
                "correct the variables OTEL_EXPORTER_OTLP_..., or take them out",
            )
        };
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|_| failed())?;
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client(client))
            .with_endpoint(&self.endpoint)
            // Its waits between tries would stop a whole thread, and with it whatever else the hub does there.
            .with_retry_policy(RetryPolicy::disabled())
            .build()
            .map_err(|_| failed())?;
        // OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES are read here.
        let mut resource = Resource::builder();
        if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name("concord");
        }
        let instance = opentelemetry::KeyValue::new("service.instance.id", node.to_owned());
        exporter.set_resource(&resource.with_attribute(instance).build());
        Ok(exporter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<Option<Settings>, Failure> {
        read(|name| {
            let found = pairs.iter().find(|(key, _)| *key == name)?;
            Some(found.1.to_owned())
        })
    }

    #[test]
    fn traces_are_off_until_a_collector_is_named() {
        assert!(of(&[]).unwrap().is_none());
        let named = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");
        let settings = of(&[named]).unwrap().unwrap();
        assert_eq!(settings.endpoint, "http://collector:4318/v1/traces");
        assert!((settings.ratio - 1.0).abs() < f64::EPSILON);
        assert!(of(&[named, ("OTEL_SDK_DISABLED", "true")]).unwrap().is_none());
        let whole = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://collector/mine ");
        assert_eq!(
            of(&[named, whole]).unwrap().unwrap().endpoint,
            "https://collector/mine"
        );
    }

    #[test]
    fn what_cannot_be_understood_is_refused_without_showing_the_address() {
        let failure = of(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "user:hunter2@collector")]).unwrap_err();
        assert!(!format!("{failure:?}").contains("hunter2"));
        let held = of(&[(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "https://user:hunter2@kollektör:4318",
        )]);
        let held = held.unwrap().unwrap();
        assert!(!format!("{held:?}").contains("hunter2"));
        assert!(
            held.exporter("node").is_ok(),
            "understood, and taken as it was understood"
        );
        let named = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
        for wrong in [
            ("OTEL_TRACES_SAMPLER", "sometimes"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ] {
            assert!(of(&[named, wrong]).unwrap_err().cause.contains(wrong.0));
        }
        let share = [
            named,
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "2"),
        ];
        assert!(of(&share).is_err());
    }
}
