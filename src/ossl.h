/*
 * ossl: OpenSSL, loaded when it is first needed.
 *
 * Linking it would cost every program that starts a millisecond and more, TLS or not
 * (docs/design.md has the figures). So the functions that we call are looked up in the shared
 * library at the first context that is made, once a process, and called through one table, which is
 * never written again. The names below stand for its entries, also inside of OpenSSL's own macros.
 * A function that is used and missing here does not link.
 */
#ifndef CURIO_OSSL_H
#define CURIO_OSSL_H

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdbool.h>

#if defined(OPENSSL_VERSION_NUMBER) && OPENSSL_VERSION_NUMBER < 0x30000000L
#error "curio needs OpenSSL 3"
#endif

/* False when there is no OpenSSL 3 here: then ossl_missing says what was looked for. Any thread. */
bool ossl_load(void);
const char *ossl_missing(void);

// clang-format off
#define OSSL_FUNCTIONS(F)                                                                          \
    F(ASN1_INTEGER_to_BN) F(ASN1_STRING_get0_data) F(ASN1_STRING_length) F(ASN1_STRING_to_UTF8)    \
    F(ASN1_TIME_to_tm) F(BIO_clear_flags) F(BIO_free) F(BIO_get_data) F(BIO_get_new_index)         \
    F(BIO_meth_free) F(BIO_meth_new) F(BIO_meth_set_ctrl) F(BIO_meth_set_read)                     \
    F(BIO_meth_set_write) F(BIO_new) F(BIO_new_mem_buf) F(BIO_set_data) F(BIO_set_flags)           \
    F(BIO_set_init) F(BN_bn2hex) F(BN_free) F(CRYPTO_free) F(CRYPTO_memcmp) F(ERR_clear_error)     \
    F(ERR_peek_last_error) F(ERR_reason_error_string) F(EVP_EncodeBlock) F(EVP_PKEY_free)          \
    F(EVP_PKEY_get_bits) F(EVP_Q_mac) F(GENERAL_NAMES_free) F(OBJ_nid2ln) F(OBJ_obj2nid) F(OBJ_obj2txt)         \
    F(OPENSSL_sk_new_null) F(OPENSSL_sk_num) F(OPENSSL_sk_pop_free) F(OPENSSL_sk_push)             \
    F(OPENSSL_sk_shift) F(OPENSSL_sk_value) F(OpenSSL_version) F(PEM_X509_INFO_read_bio)           \
    F(PEM_read_bio_PrivateKey) F(PEM_read_bio_X509) F(RAND_bytes) F(SSL_CIPHER_get_bits)           \
    F(SSL_CIPHER_get_name) F(SSL_CIPHER_get_version) F(SSL_CTX_add_client_CA) F(SSL_CTX_ctrl)      \
    F(SSL_CTX_free) F(SSL_CTX_get0_param) F(SSL_CTX_get_security_level)                            \
    F(SSL_CTX_get_verify_mode) F(SSL_CTX_new) F(SSL_CTX_sess_set_new_cb)                           \
    F(SSL_CTX_set1_cert_store) F(SSL_CTX_set_alpn_protos) F(SSL_CTX_set_alpn_select_cb)            \
    F(SSL_CTX_set_cipher_list) F(SSL_CTX_set_ciphersuites) F(SSL_CTX_set_client_hello_cb)          \
    F(SSL_CTX_set_keylog_callback) F(SSL_CTX_set_options) F(SSL_CTX_set_security_level)            \
    F(SSL_CTX_set_session_id_context) F(SSL_CTX_set_verify) F(SSL_CTX_use_cert_and_key)            \
    F(SSL_SESSION_free) F(SSL_SESSION_get_protocol_version) F(SSL_SESSION_is_resumable)            \
    F(SSL_SESSION_up_ref) F(SSL_client_hello_get0_ext) F(SSL_ctrl) F(SSL_do_handshake)             \
    F(SSL_free) F(SSL_get0_alpn_selected) F(SSL_get0_param) F(SSL_get1_peer_certificate)           \
    F(SSL_get1_session) F(SSL_get_current_cipher) F(SSL_get_error) F(SSL_get_ex_data)              \
    F(SSL_get_verify_result) F(SSL_get_version) F(SSL_has_pending) F(SSL_key_update) F(SSL_new)    \
    F(SSL_read_ex) F(SSL_select_next_proto) F(SSL_session_reused) F(SSL_set_SSL_CTX)               \
    F(SSL_set_accept_state) F(SSL_set_alpn_protos) F(SSL_set_bio) F(SSL_set_connect_state)         \
    F(SSL_set_ex_data) F(SSL_set_info_callback) F(SSL_set_options) F(SSL_set_session)              \
    F(SSL_set_verify) F(SSL_shutdown) F(SSL_write_ex) F(TLS_client_method) F(TLS_server_method)    \
    F(X509_INFO_free) F(X509_LOOKUP_ctrl) F(X509_LOOKUP_hash_dir) F(X509_NAME_ENTRY_get_data)      \
    F(X509_NAME_ENTRY_get_object) F(X509_NAME_entry_count) F(X509_NAME_get_entry)                  \
    F(X509_STORE_add_cert) F(X509_STORE_add_crl) F(X509_STORE_add_lookup) F(X509_STORE_free)       \
    F(X509_STORE_get1_all_certs) F(X509_STORE_load_path) F(X509_STORE_new)                         \
    F(X509_STORE_set_default_paths) F(X509_STORE_up_ref) F(X509_VERIFY_PARAM_clear_flags)          \
    F(X509_VERIFY_PARAM_get_flags) F(X509_VERIFY_PARAM_set1_host)                                  \
    F(X509_VERIFY_PARAM_set1_ip_asc) F(X509_VERIFY_PARAM_set_flags)                                \
    F(X509_VERIFY_PARAM_set_hostflags) F(X509_free) F(X509_get0_notAfter) F(X509_get0_notBefore)   \
    F(X509_get0_pubkey) F(X509_get0_serialNumber) F(X509_get_ext_d2i) F(X509_get_issuer_name)      \
    F(X509_get_subject_name) F(X509_get_version) F(X509_verify_cert_error_string) F(d2i_X509)      \
    F(i2d_X509)
// clang-format on

#define OSSL_MEMBER(name) __typeof__(name) *(name);
struct ossl {
    OSSL_FUNCTIONS(OSSL_MEMBER)
};
#undef OSSL_MEMBER

extern struct ossl ossl;

#define ASN1_INTEGER_to_BN ossl.ASN1_INTEGER_to_BN
#define ASN1_STRING_get0_data ossl.ASN1_STRING_get0_data
#define ASN1_STRING_length ossl.ASN1_STRING_length
#define ASN1_STRING_to_UTF8 ossl.ASN1_STRING_to_UTF8
#define ASN1_TIME_to_tm ossl.ASN1_TIME_to_tm
#define BIO_clear_flags ossl.BIO_clear_flags
#define BIO_free ossl.BIO_free
#define BIO_get_data ossl.BIO_get_data
#define BIO_get_new_index ossl.BIO_get_new_index
#define BIO_meth_free ossl.BIO_meth_free
#define BIO_meth_new ossl.BIO_meth_new
#define BIO_meth_set_ctrl ossl.BIO_meth_set_ctrl
#define BIO_meth_set_read ossl.BIO_meth_set_read
#define BIO_meth_set_write ossl.BIO_meth_set_write
#define BIO_new ossl.BIO_new
#define BIO_new_mem_buf ossl.BIO_new_mem_buf
#define BIO_set_data ossl.BIO_set_data
#define BIO_set_flags ossl.BIO_set_flags
#define BIO_set_init ossl.BIO_set_init
#define BN_bn2hex ossl.BN_bn2hex
#define BN_free ossl.BN_free
#define CRYPTO_free ossl.CRYPTO_free
#define CRYPTO_memcmp ossl.CRYPTO_memcmp
#define ERR_clear_error ossl.ERR_clear_error
#define ERR_peek_last_error ossl.ERR_peek_last_error
#define ERR_reason_error_string ossl.ERR_reason_error_string
#define EVP_EncodeBlock ossl.EVP_EncodeBlock
#define EVP_PKEY_free ossl.EVP_PKEY_free
#define EVP_PKEY_get_bits ossl.EVP_PKEY_get_bits
#define EVP_Q_mac ossl.EVP_Q_mac
#define GENERAL_NAMES_free ossl.GENERAL_NAMES_free
#define OBJ_nid2ln ossl.OBJ_nid2ln
#define OBJ_obj2nid ossl.OBJ_obj2nid
#define OBJ_obj2txt ossl.OBJ_obj2txt
#define OPENSSL_sk_new_null ossl.OPENSSL_sk_new_null
#define OPENSSL_sk_num ossl.OPENSSL_sk_num
#define OPENSSL_sk_pop_free ossl.OPENSSL_sk_pop_free
#define OPENSSL_sk_push ossl.OPENSSL_sk_push
#define OPENSSL_sk_shift ossl.OPENSSL_sk_shift
#define OPENSSL_sk_value ossl.OPENSSL_sk_value
#define OpenSSL_version ossl.OpenSSL_version
#define PEM_X509_INFO_read_bio ossl.PEM_X509_INFO_read_bio
#define PEM_read_bio_PrivateKey ossl.PEM_read_bio_PrivateKey
#define PEM_read_bio_X509 ossl.PEM_read_bio_X509
#define RAND_bytes ossl.RAND_bytes
#define SSL_CIPHER_get_bits ossl.SSL_CIPHER_get_bits
#define SSL_CIPHER_get_name ossl.SSL_CIPHER_get_name
#define SSL_CIPHER_get_version ossl.SSL_CIPHER_get_version
#define SSL_CTX_add_client_CA ossl.SSL_CTX_add_client_CA
#define SSL_CTX_ctrl ossl.SSL_CTX_ctrl
#define SSL_CTX_free ossl.SSL_CTX_free
#define SSL_CTX_get0_param ossl.SSL_CTX_get0_param
#define SSL_CTX_get_security_level ossl.SSL_CTX_get_security_level
#define SSL_CTX_get_verify_mode ossl.SSL_CTX_get_verify_mode
#define SSL_CTX_new ossl.SSL_CTX_new
#define SSL_CTX_sess_set_new_cb ossl.SSL_CTX_sess_set_new_cb
#define SSL_CTX_set1_cert_store ossl.SSL_CTX_set1_cert_store
#define SSL_CTX_set_alpn_protos ossl.SSL_CTX_set_alpn_protos
#define SSL_CTX_set_alpn_select_cb ossl.SSL_CTX_set_alpn_select_cb
#define SSL_CTX_set_cipher_list ossl.SSL_CTX_set_cipher_list
#define SSL_CTX_set_ciphersuites ossl.SSL_CTX_set_ciphersuites
#define SSL_CTX_set_client_hello_cb ossl.SSL_CTX_set_client_hello_cb
#define SSL_CTX_set_keylog_callback ossl.SSL_CTX_set_keylog_callback
#define SSL_CTX_set_options ossl.SSL_CTX_set_options
#define SSL_CTX_set_security_level ossl.SSL_CTX_set_security_level
#define SSL_CTX_set_session_id_context ossl.SSL_CTX_set_session_id_context
#define SSL_CTX_set_verify ossl.SSL_CTX_set_verify
#define SSL_CTX_use_cert_and_key ossl.SSL_CTX_use_cert_and_key
#define SSL_SESSION_free ossl.SSL_SESSION_free
#define SSL_SESSION_get_protocol_version ossl.SSL_SESSION_get_protocol_version
#define SSL_SESSION_is_resumable ossl.SSL_SESSION_is_resumable
#define SSL_SESSION_up_ref ossl.SSL_SESSION_up_ref
#define SSL_client_hello_get0_ext ossl.SSL_client_hello_get0_ext
#define SSL_ctrl ossl.SSL_ctrl
#define SSL_do_handshake ossl.SSL_do_handshake
#define SSL_free ossl.SSL_free
#define SSL_get0_alpn_selected ossl.SSL_get0_alpn_selected
#define SSL_get0_param ossl.SSL_get0_param
#define SSL_get1_peer_certificate ossl.SSL_get1_peer_certificate
#define SSL_get1_session ossl.SSL_get1_session
#define SSL_get_current_cipher ossl.SSL_get_current_cipher
#define SSL_get_error ossl.SSL_get_error
#define SSL_get_ex_data ossl.SSL_get_ex_data
#define SSL_get_verify_result ossl.SSL_get_verify_result
#define SSL_get_version ossl.SSL_get_version
#define SSL_has_pending ossl.SSL_has_pending
#define SSL_key_update ossl.SSL_key_update
#define SSL_new ossl.SSL_new
#define SSL_read_ex ossl.SSL_read_ex
#define SSL_select_next_proto ossl.SSL_select_next_proto
#define SSL_session_reused ossl.SSL_session_reused
#define SSL_set_SSL_CTX ossl.SSL_set_SSL_CTX
#define SSL_set_accept_state ossl.SSL_set_accept_state
#define SSL_set_alpn_protos ossl.SSL_set_alpn_protos
#define SSL_set_bio ossl.SSL_set_bio
#define SSL_set_connect_state ossl.SSL_set_connect_state
#define SSL_set_ex_data ossl.SSL_set_ex_data
#define SSL_set_info_callback ossl.SSL_set_info_callback
#define SSL_set_options ossl.SSL_set_options
#define SSL_set_session ossl.SSL_set_session
#define SSL_set_verify ossl.SSL_set_verify
#define SSL_shutdown ossl.SSL_shutdown
#define SSL_write_ex ossl.SSL_write_ex
#define TLS_client_method ossl.TLS_client_method
#define TLS_server_method ossl.TLS_server_method
#define X509_INFO_free ossl.X509_INFO_free
#define X509_LOOKUP_ctrl ossl.X509_LOOKUP_ctrl
#define X509_LOOKUP_hash_dir ossl.X509_LOOKUP_hash_dir
#define X509_NAME_ENTRY_get_data ossl.X509_NAME_ENTRY_get_data
#define X509_NAME_ENTRY_get_object ossl.X509_NAME_ENTRY_get_object
#define X509_NAME_entry_count ossl.X509_NAME_entry_count
#define X509_NAME_get_entry ossl.X509_NAME_get_entry
#define X509_STORE_add_cert ossl.X509_STORE_add_cert
#define X509_STORE_add_crl ossl.X509_STORE_add_crl
#define X509_STORE_add_lookup ossl.X509_STORE_add_lookup
#define X509_STORE_free ossl.X509_STORE_free
#define X509_STORE_get1_all_certs ossl.X509_STORE_get1_all_certs
#define X509_STORE_load_path ossl.X509_STORE_load_path
#define X509_STORE_new ossl.X509_STORE_new
#define X509_STORE_set_default_paths ossl.X509_STORE_set_default_paths
#define X509_STORE_up_ref ossl.X509_STORE_up_ref
#define X509_VERIFY_PARAM_clear_flags ossl.X509_VERIFY_PARAM_clear_flags
#define X509_VERIFY_PARAM_get_flags ossl.X509_VERIFY_PARAM_get_flags
#define X509_VERIFY_PARAM_set1_host ossl.X509_VERIFY_PARAM_set1_host
#define X509_VERIFY_PARAM_set1_ip_asc ossl.X509_VERIFY_PARAM_set1_ip_asc
#define X509_VERIFY_PARAM_set_flags ossl.X509_VERIFY_PARAM_set_flags
#define X509_VERIFY_PARAM_set_hostflags ossl.X509_VERIFY_PARAM_set_hostflags
#define X509_free ossl.X509_free
#define X509_get0_notAfter ossl.X509_get0_notAfter
#define X509_get0_notBefore ossl.X509_get0_notBefore
#define X509_get0_pubkey ossl.X509_get0_pubkey
#define X509_get0_serialNumber ossl.X509_get0_serialNumber
#define X509_get_ext_d2i ossl.X509_get_ext_d2i
#define X509_get_issuer_name ossl.X509_get_issuer_name
#define X509_get_subject_name ossl.X509_get_subject_name
#define X509_get_version ossl.X509_get_version
#define X509_verify_cert_error_string ossl.X509_verify_cert_error_string
#define d2i_X509 ossl.d2i_X509
#define i2d_X509 ossl.i2d_X509

#endif
