#include "daemon/rpc/tls.h"

#include <grpcpp/security/server_credentials.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

#include "drivers/api/errors.h"

namespace canhub {
namespace {

absl::Status Wrong(const std::string& file, const std::string& found, const std::string& expected) {
  return MakeError(absl::StatusCode::kInvalidArgument, "TLS_FILE",
                   file + ": found " + found + ", expected " + expected,
                   {{"file", file}, {"found", found}, {"expected", expected}});
}

absl::StatusOr<std::string> ReadFile(const std::string& file, const std::string& expected) {
  errno = 0;
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  if (in) text << in.rdbuf();
  if (!in || text.str().empty()) {
    return Wrong(file, errno != 0 ? std::strerror(errno) : "an empty file", expected);
  }
  return text.str();
}

struct FreeBio {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
struct FreeCertificate {
  void operator()(X509* certificate) const { X509_free(certificate); }
};
struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using Bio = std::unique_ptr<BIO, FreeBio>;
using Certificate = std::unique_ptr<X509, FreeCertificate>;
using Key = std::unique_ptr<EVP_PKEY, FreeKey>;

Bio Open(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// The daemon has nobody to ask for a pass phrase; OpenSSL would ask on the terminal.
int NoPassPhrase(char*, int, int, void*) { return 0; }

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeTlsCredentials(const TlsFiles& files) {
  const absl::StatusOr<std::string> chain = ReadFile(files.certificate, "a certificate in PEM");
  if (!chain.ok()) return chain.status();
  const absl::StatusOr<std::string> key_text = ReadFile(files.private_key, "a private key in PEM");
  if (!key_text.ok()) return key_text.status();
  const absl::StatusOr<std::string> ca = ReadFile(files.client_ca, "a CA certificate in PEM");
  if (!ca.ok()) return ca.status();

  const Certificate certificate(
      PEM_read_bio_X509(Open(*chain).get(), nullptr, NoPassPhrase, nullptr));
  if (certificate == nullptr) {
    return Wrong(files.certificate, "no certificate", "a certificate in PEM");
  }
  const Key key(PEM_read_bio_PrivateKey(Open(*key_text).get(), nullptr, NoPassPhrase, nullptr));
  if (key == nullptr) {
    return Wrong(files.private_key, "no readable private key",
                 "a private key in PEM without a pass phrase");
  }
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    return Wrong(files.private_key, "a key of another certificate",
                 "the private key of " + files.certificate);
  }
  if (Certificate(PEM_read_bio_X509(Open(*ca).get(), nullptr, NoPassPhrase, nullptr)) == nullptr) {
    return Wrong(files.client_ca, "no certificate", "a CA certificate in PEM");
  }

  grpc::SslServerCredentialsOptions options(
      GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_root_certs = *ca;
  options.pem_key_cert_pairs.push_back({*key_text, *chain});
  return grpc::SslServerCredentials(options);
}

}  // namespace canhub
