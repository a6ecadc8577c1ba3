/* A PKCS#11 module that forwards to a real one and has bad days on request.
 *
 * `support/forwarding.rs` builds it, puts a copy into each test's own folder and writes to the folder `control` beside
 * that copy: found by the place of this file and not by the environment, which the program under test may clean. All of
 * it but the first two is read afresh at each call:
 *
 *   real                the path of the real module
 *   softhsm2-conf       its SOFTHSM2_CONF, where the environment of the process has another
 *   fail/C_X            "CODE LEFT BREAKAGE": C_X gives CODE, LEFT times (-1: always). A BREAKAGE other than 0 concerns
 *                       only processes that were initialized before it
 *   breakages           the number of the last breakage
 *   hang/C_X            C_X does not go on while this exists
 *   crash/C_X           the next C_X aborts its process, and takes this away
 *   token-absent/LABEL  this token is removed
 *   pin-flags/LABEL     hexadecimal, added to CK_TOKEN_INFO.flags
 *   no-pss              RSA-PSS is unknown
 *   calls               written here: a line "C_X RESULT PID" for each call
 *
 * It does without the standard's header. Each function takes at most eight arguments of a word's size and returns a
 * word, so one shape fits them all: under the C calling conventions of Linux, whoever is given more arguments than it
 * wants does not look at them, and whoever is given fewer passes on what nobody looks at. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

typedef unsigned long word;
typedef word (*function)(word, word, word, word, word, word, word, word);

enum { CKR_OK = 0, CKR_GENERAL_ERROR = 0x5, CKR_DEVICE_REMOVED = 0x32, CKR_MECHANISM_INVALID = 0x70 };
enum { CKR_TOKEN_NOT_PRESENT = 0xe0, CKR_BUFFER_TOO_SMALL = 0x150, CKF_TOKEN_PRESENT = 0x1 };

/* PKCS#11 v2.40, in the order of CK_FUNCTION_LIST. */
#define FUNCTIONS(each) \
    each(C_Initialize) each(C_Finalize) each(C_GetInfo) each(C_GetFunctionList) each(C_GetSlotList) \
    each(C_GetSlotInfo) each(C_GetTokenInfo) each(C_GetMechanismList) each(C_GetMechanismInfo) each(C_InitToken) \
    each(C_InitPIN) each(C_SetPIN) each(C_OpenSession) each(C_CloseSession) each(C_CloseAllSessions) \
    each(C_GetSessionInfo) each(C_GetOperationState) each(C_SetOperationState) each(C_Login) each(C_Logout) \
    each(C_CreateObject) each(C_CopyObject) each(C_DestroyObject) each(C_GetObjectSize) each(C_GetAttributeValue) \
    each(C_SetAttributeValue) each(C_FindObjectsInit) each(C_FindObjects) each(C_FindObjectsFinal) \
    each(C_EncryptInit) each(C_Encrypt) each(C_EncryptUpdate) each(C_EncryptFinal) each(C_DecryptInit) \
    each(C_Decrypt) each(C_DecryptUpdate) each(C_DecryptFinal) each(C_DigestInit) each(C_Digest) \
    each(C_DigestUpdate) each(C_DigestKey) each(C_DigestFinal) each(C_SignInit) each(C_Sign) each(C_SignUpdate) \
    each(C_SignFinal) each(C_SignRecoverInit) each(C_SignRecover) each(C_VerifyInit) each(C_Verify) \
    each(C_VerifyUpdate) each(C_VerifyFinal) each(C_VerifyRecoverInit) each(C_VerifyRecover) \
    each(C_DigestEncryptUpdate) each(C_DecryptDigestUpdate) each(C_SignEncryptUpdate) each(C_DecryptVerifyUpdate) \
    each(C_GenerateKey) each(C_GenerateKeyPair) each(C_WrapKey) each(C_UnwrapKey) each(C_DeriveKey) \
    each(C_SeedRandom) each(C_GenerateRandom) each(C_GetFunctionStatus) each(C_CancelFunction) \
    each(C_WaitForSlotEvent)

#define PLACE(name) at_##name,
enum { FUNCTIONS(PLACE) FUNCTION_COUNT };

#define NAME(name) #name,
static const char *const names[] = { FUNCTIONS(NAME) };

struct function_list {
    unsigned char major, minor;
    function at[FUNCTION_COUNT];
};
/* CK_SLOT_INFO and CK_TOKEN_INFO: both have 96 letters before their flags. */
struct info {
    char label[32], more[64];
    word flags;
    char rest[256]; /* what a token says besides */
};
struct session_info { word slot, state, flags, error; };

/* This module's, at the end of this file. */
static const struct function_list forwarding;
static const struct function_list *real;
/* The only name that others look for. */
__attribute__((visibility("default"))) word C_GetFunctionList(const struct function_list **into);
static char control[PATH_MAX];
/* The last breakage before this process initialized the module. */
static word cured;

/* --- The control folder. --- */

static const char *path_of(char path[PATH_MAX], const char *kind, const char *name) {
    if (snprintf(path, PATH_MAX, "%s/%s%s%s", control, kind, *name ? "/" : "", name) >= PATH_MAX) abort();
    return path;
}

static int exists(const char *kind, const char *name) {
    char path[PATH_MAX];
    return access(path_of(path, kind, name), F_OK) == 0;
}

/* The number in a file; 0 when there is none. */
static word number(const char *kind, const char *name, const char *format) {
    char path[PATH_MAX];
    word value = 0;
    FILE *file = fopen(path_of(path, kind, name), "re");
    if (!file) return 0;
    if (fscanf(file, format, &value) != 1) value = 0;
    fclose(file);
    return value;
}

/* One write each, so that the lines of several processes do not mix. */
static void record(int at, const char *result) {
    char path[PATH_MAX], line[96];
    int length = snprintf(line, sizeof line, "%s %s %d\n", names[at], result, (int)getpid());
    int file = open(path_of(path, "calls", ""), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || write(file, line, (size_t)length) != length) abort();
    close(file);
}

static void hang(int at) {
    const struct timespec moment = { 0, 10 * 1000 * 1000 };
    if (!exists("hang", names[at])) return;
    record(at, "hang");
    while (exists("hang", names[at])) nanosleep(&moment, NULL);
}

static void crash(int at) {
    char path[PATH_MAX];
    /* Only one can take the file away: the process that comes after this one lives. */
    if (unlink(path_of(path, "crash", names[at])) != 0) return;
    record(at, "crash");
    abort();
}

/* The first line of a file. */
static int line_of(const char *name, char into[PATH_MAX]) {
    char path[PATH_MAX];
    FILE *file = fopen(path_of(path, name, ""), "re");
    int found;
    if (!file) return 0;
    found = fgets(into, PATH_MAX, file) != NULL;
    fclose(file);
    return found;
}

static int injected(int at, word *result) {
    char path[PATH_MAX], text[80] = "";
    word breakage = 0;
    long left = 0;
    int hit, file = open(path_of(path, "fail", names[at]), O_RDWR | O_CLOEXEC);
    if (file < 0) return 0;
    /* Two threads, or two processes, must not take the same one of the times that are left. */
    flock(file, LOCK_EX);
    hit = pread(file, text, sizeof text - 1, 0) > 0 && sscanf(text, "%lx %ld %lu", result, &left, &breakage) == 3 &&
          left != 0 && (breakage == 0 || breakage > cured);
    if (hit && left > 0) {
        int length = snprintf(text, sizeof text, "%lx %ld %lu\n", *result, left - 1, breakage);
        if (pwrite(file, text, (size_t)length, 0) != length || ftruncate(file, length) != 0) abort();
    }
    close(file);
    return hit;
}

/* --- The real module. --- */

/* One process at a time: at a login SoftHSM empties the token's file before it writes it anew, and whoever reads it at that
 * instant finds no token. */
static word forward(int at, const word *a) {
    const char *conf = getenv("SOFTHSM2_CONF");
    int turn = conf ? open(conf, O_RDONLY | O_CLOEXEC) : -1;
    word result;
    if (turn >= 0) flock(turn, LOCK_EX);
    result = real->at[at](a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]);
    if (turn >= 0) close(turn);
    return result;
}

static word ask(int at, word first, void *second) {
    const word a[8] = { first, (word)second };
    return forward(at, a);
}

/* The label of a slot's token without its padding; empty when there is none. */
static void label_of(word slot, char label[33]) {
    struct info info;
    int length = 32;
    label[0] = '\0';
    if (ask(at_C_GetTokenInfo, slot, &info) != CKR_OK) return;
    while (length > 0 && info.label[length - 1] == ' ') length--;
    memcpy(label, info.label, (size_t)length);
    label[length] = '\0';
}

/* --- A token that was removed, though the real module still has it. --- */

static int absent(word slot) {
    char label[33];
    if (!exists("token-absent", "")) return 0;
    label_of(slot, label);
    return *label && exists("token-absent", label);
}

static int present(word slot) {
    return !absent(slot);
}

/* Whether the token of this session is gone. Its sessions and its login go with it, and do not come back when it does:
 * here from the first call on that notices. */
static int session_removed(word session) {
    struct session_info info;
    if (!exists("token-absent", "") || ask(at_C_GetSessionInfo, session, &info) != CKR_OK) return 0;
    if (!absent(info.slot)) return 0;
    ask(at_C_CloseAllSessions, info.slot, NULL);
    return 1;
}

static int starts_with_session(int at) {
    if (at == at_C_InitPIN || at == at_C_SetPIN) return 1;
    return at >= at_C_CloseSession && at != at_C_CloseAllSessions && at != at_C_WaitForSlotEvent;
}

static int starts_with_slot(int at) {
    return (at >= at_C_GetTokenInfo && at <= at_C_InitToken) || at == at_C_OpenSession || at == at_C_CloseAllSessions;
}

static int is_pss(word mechanism) {
    /* RSA_PKCS_PSS, and with SHA-1, -256, -384, -512, -224, and SHA3-256, -384, -512, -224. */
    static const word all[] = { 0x0d, 0x0e, 0x43, 0x44, 0x45, 0x47, 0x63, 0x64, 0x65, 0x67 };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i] == mechanism) return 1;
    return 0;
}

static int known(word mechanism) {
    return !(is_pss(mechanism) && exists("no-pss", ""));
}

/* C_GetSlotList and C_GetMechanismList, less what is not wanted. */
static word list(int at, const word *a, int (*wanted)(word)) {
    word found[512], kept = 0, *into = (word *)a[1], *count = (word *)a[2], room, result;
    word whole[8] = { a[0], 0, (word)&room };
    if (!count) return forward(at, a);
    /* First without room as the caller does: SoftHSM looks for new tokens then, and only then. */
    if (!into && (result = forward(at, whole)) != CKR_OK) return result;
    room = sizeof found / sizeof *found;
    whole[1] = (word)found;
    if ((result = forward(at, whole)) != CKR_OK) return result;
    for (word i = 0; i < room; i++)
        if (wanted(found[i])) found[kept++] = found[i];
    result = into && *count < kept ? CKR_BUFFER_TOO_SMALL : CKR_OK;
    *count = kept;
    if (into && result == CKR_OK) memcpy(into, found, kept * sizeof *found);
    return result;
}

static word answer(int at, const word *a) {
    char label[33];
    word result;
    /* With a false first argument, slots without a token are wanted, too. */
    if (at == at_C_GetSlotList && (unsigned char)a[0]) return list(at, a, present);
    if (starts_with_slot(at) && absent(a[0])) return CKR_TOKEN_NOT_PRESENT;
    if (starts_with_session(at) && session_removed(a[0])) return CKR_DEVICE_REMOVED;
    if (at == at_C_GetMechanismList) return list(at, a, known);
    if (at == at_C_GetMechanismInfo && !known(a[1])) return CKR_MECHANISM_INVALID;
    if (at == at_C_SignInit && a[1] && !known(*(const word *)a[1])) return CKR_MECHANISM_INVALID;
    /* The one function that would lead past this module. */
    if (at == at_C_GetFunctionList) return C_GetFunctionList((const struct function_list **)a[0]);
    result = forward(at, a);
    if (result != CKR_OK) return result;
    if (at == at_C_Initialize) cured = number("breakages", "", "%lu");
    if (at == at_C_GetSlotInfo && absent(a[0])) ((struct info *)a[1])->flags &= ~(word)CKF_TOKEN_PRESENT;
    if (at == at_C_GetTokenInfo) {
        label_of(a[0], label);
        if (*label) ((struct info *)a[1])->flags |= number("pin-flags", label, "%lx");
    }
    return result;
}

static word call(int at, const word *a) {
    char text[32];
    word result;
    hang(at);
    crash(at);
    if (!injected(at, &result)) result = answer(at, a);
    snprintf(text, sizeof text, "%lx", result);
    record(at, text);
    return result;
}

#define FORWARDER(name) \
    static word forward_##name(word a, word b, word c, word d, word e, word f, word g, word h) { \
        const word all[8] = { a, b, c, d, e, f, g, h }; \
        return call(at_##name, all); \
    }
FUNCTIONS(FORWARDER)

#define ENTRY(name) forward_##name,
static const struct function_list forwarding = { 2, 40, { FUNCTIONS(ENTRY) } };

word C_GetFunctionList(const struct function_list **into) {
    if (!real) return CKR_GENERAL_ERROR;
    *into = &forwarding;
    return CKR_OK;
}

__attribute__((constructor)) static void load(void) {
    char module[PATH_MAX], conf[PATH_MAX];
    word (*list_of_real)(const struct function_list **);
    void *library;
    Dl_info own;
    int folder;
    if (!dladdr(&forwarding, &own) || !strrchr(own.dli_fname, '/')) return;
    folder = (int)(strrchr(own.dli_fname, '/') - own.dli_fname);
    snprintf(control, sizeof control, "%.*s/control", folder, own.dli_fname);
    if (!line_of("real", module)) return;
    if (line_of("softhsm2-conf", conf)) setenv("SOFTHSM2_CONF", conf, 1);
    /* Its symbols stay its own: it exports the same names. */
    if (!(library = dlopen(module, RTLD_NOW | RTLD_LOCAL))) return;
    *(void **)&list_of_real = dlsym(library, "C_GetFunctionList");
    if (!list_of_real || list_of_real(&real) != CKR_OK) real = NULL;
}
