#include "clients/canhubctl/connection.h"

#include <fstream>
#include <sstream>

#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"

namespace canhub::ctl {
namespace {

bool ReadFile(const std::string& path, const char* option, std::string* content, Failure* failure) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  if (!file || !(text << file.rdbuf())) {
    *failure = Failure::Usage(std::string(option) + ": cannot read " + path);
    return false;
  }
  *content = text.str();
  return true;
}

}  // namespace

Address ResolveAddress(const std::string& option, const char* environment,
                       const std::function<bool(const std::string&)>& exists) {
  const auto target = [](const std::string& text) {
    return text.starts_with('/') ? "unix:" + text : text;
  };
  if (!option.empty()) return {target(option), "--address"};
  if (environment != nullptr && *environment != '\0') {
    return {target(environment), "CANHUB_ADDRESS"};
  }
  if (exists(kDefaultSocket)) {
    return {"unix:" + std::string(kDefaultSocket), "the default"};
  }
  return {kDefaultTcp, "the default, because there is no socket " + std::string(kDefaultSocket)};
}

std::unique_ptr<Connection> Connection::Open(Address address, const TlsFiles& tls,
                                             Failure* failure) {
  std::shared_ptr<grpc::ChannelCredentials> credentials;
  if (tls.empty()) {
    credentials = grpc::InsecureChannelCredentials();
  } else {
    if (tls.certificate.empty() != tls.key.empty()) {
      *failure =
          Failure::Usage("--tls-cert and --tls-key come together; " +
                         std::string(tls.key.empty() ? "--tls-key" : "--tls-cert") + " is missing");
      return nullptr;
    }
    grpc::SslCredentialsOptions options;
    if (!tls.ca.empty() && !ReadFile(tls.ca, "--tls-ca", &options.pem_root_certs, failure)) {
      return nullptr;
    }
    if (!tls.certificate.empty() &&
        (!ReadFile(tls.certificate, "--tls-cert", &options.pem_cert_chain, failure) ||
         !ReadFile(tls.key, "--tls-key", &options.pem_private_key, failure))) {
      return nullptr;
    }
    credentials = grpc::SslCredentials(options);
  }
  grpc::ChannelArguments arguments;
  // A lab daemon is never behind an HTTP proxy, whatever the environment says.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetUserAgentPrefix("canhubctl");
  // After a daemon's restart a long-running keep-alive must not wait for gRPC's two minutes.
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  // A snapshot of thousands of items is larger than gRPC's 4 MiB.
  arguments.SetMaxReceiveMessageSize(64 << 20);
  auto channel = grpc::CreateCustomChannel(address.target, credentials, arguments);
  return std::unique_ptr<Connection>(
      new Connection(std::move(address), !tls.empty(), std::move(channel)));
}

Failure Connection::Explain(const grpc::Status& status) const {
  Failure failure = FailureFromStatus(status);
  const bool unreachable = status.error_code() == grpc::UNAVAILABLE && failure.reason.empty() &&
                           channel_->GetState(false) != GRPC_CHANNEL_READY;
  if (!unreachable) return failure;
  failure.reason = "CANNOT_CONNECT";
  failure.metadata["address"] = address_.target;
  failure.metadata["address_origin"] = address_.origin;
  std::string cause = failure.text;
  // gRPC wraps the cause: "failed to connect to all addresses; last error: UNKNOWN: ipv4:…: Failed
  // to connect to remote host: Connection refused". Its own words stay, without the wrapping.
  for (const std::string wrapping : {"last error: ", "Failed to connect to remote host: "}) {
    if (const size_t at = cause.find(wrapping); at != std::string::npos) {
      cause.erase(0, at + wrapping.size());
    }
  }
  failure.text =
      "cannot connect to canhubd at " + address_.target + " (from " + address_.origin + ", " +
      (tls_ ? "with" : "without") + " TLS): " + cause +
      ". Is it running (systemctl status canhubd, or canhubd --config FILE)? Name " +
      "another address with --address or CANHUB_ADDRESS" +
      (tls_ ? "." : ", and certificates with --tls-ca, --tls-cert, --tls-key if it wants TLS.");
  return failure;
}

}  // namespace canhub::ctl
