import com.azure.core.credential.AccessToken;
import com.azure.core.credential.TokenCredential;
import com.azure.core.credential.TokenRequestContext;
import com.azure.identity.ClientSecretCredentialBuilder;
import com.azure.identity.DefaultAzureCredentialBuilder;
import com.azure.identity.EnvironmentCredentialBuilder;
import com.azure.identity.ManagedIdentityCredentialBuilder;
import com.azure.identity.WorkloadIdentityCredentialBuilder;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.microsoft.aad.msal4j.ClientCredentialFactory;
import com.microsoft.aad.msal4j.ClientCredentialParameters;
import com.microsoft.aad.msal4j.ConfidentialClientApplication;
import com.microsoft.aad.msal4j.IAuthenticationResult;
import com.microsoft.aad.msal4j.ManagedIdentityApplication;
import com.microsoft.aad.msal4j.ManagedIdentityId;
import com.microsoft.aad.msal4j.ManagedIdentityParameters;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Set;
import javax.security.auth.callback.Callback;
import javax.security.auth.login.AppConfigurationEntry;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.config.SaslConfigs;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerTokenCallback;
import org.springframework.security.oauth2.client.endpoint.OAuth2ClientCredentialsGrantRequest;
import org.springframework.security.oauth2.client.endpoint.RestClientClientCredentialsTokenResponseClient;
import org.springframework.security.oauth2.client.registration.ClientRegistration;
import org.springframework.security.oauth2.core.AuthorizationGrantType;
import org.springframework.security.oauth2.core.OAuth2AccessToken;

/** One client library, asked for one token as an application would ask. tests/it/clients/mod.rs has the protocol. */
public final class Client {
    private static final ObjectMapper JSON = new ObjectMapper();

    /** A token, and when it ends. */
    private record Found(String token, Instant expires) {}

    private interface Way {
        Found ask(JsonNode asked) throws Exception;
    }

    /** With the class whose jar says the version. */
    private record Library(Class<?> sample, Way way) {}

    private static final Map<String, Library> WAYS = Map.of(
        "azure-identity ManagedIdentityCredential", azure(asked -> new ManagedIdentityCredentialBuilder().build()),
        "azure-identity DefaultAzureCredential", azure(Client::anyCredential),
        "azure-identity EnvironmentCredential", azure(asked -> new EnvironmentCredentialBuilder().build()),
        "azure-identity WorkloadIdentityCredential", azure(Client::workload),
        "azure-identity ClientSecretCredential", azure(Client::secret),
        "msal4j ConfidentialClientApplication", new Library(ConfidentialClientApplication.class, Client::msalSecret),
        "msal4j ManagedIdentityApplication", new Library(ManagedIdentityApplication.class, Client::msalManagedIdentity),
        "spring-security-oauth2-client RestClientClientCredentialsTokenResponseClient",
            new Library(ClientRegistration.class, Client::spring),
        "kafka-clients OAuthBearerLoginCallbackHandler", new Library(OAuthBearerLoginCallbackHandler.class, Client::kafka));

    private Client() {}

    public static void main(String[] arguments) throws Exception {
        JsonNode asked = JSON.readTree(System.in);
        Library library = WAYS.get(text(asked, "client") + " " + text(asked, "with"));
        ObjectNode answer = JSON.createObjectNode().put("version", version(library.sample()));
        long started = System.nanoTime();
        try {
            Found found = library.way().ask(asked);
            answer.put("token", found.token());
            answer.put("expires_on", found.expires() == null ? null : found.expires().getEpochSecond());
        } catch (Exception raised) {
            // What an application would see is what the test is about.
            answer.putObject("error").put("class", raised.getClass().getName()).put("text", String.valueOf(raised.getMessage()));
        }
        answer.put("waited", Duration.ofNanos(System.nanoTime() - started).toMillis() / 1000.0);
        System.out.println(answer);
        // Pools of the libraries would keep the process for a minute.
        System.exit(0);
    }

    private static String text(JsonNode asked, String name) {
        return asked.get(name).asText();
    }

    /** From the name of the jar that the class came from. */
    private static String version(Class<?> sample) {
        String jar = sample.getProtectionDomain().getCodeSource().getLocation().getPath();
        return jar.replaceAll(".*-(\\d[^/]*)\\.jar$", "$1");
    }

    private interface Opening {
        TokenCredential open(JsonNode asked);
    }

    /** azure-identity: without the option nothing but the environment decides, as in most applications. */
    private static Library azure(Opening opening) {
        return new Library(ManagedIdentityCredentialBuilder.class, asked -> {
            TokenRequestContext wanted = new TokenRequestContext().addScopes(text(asked, "scope"));
            AccessToken token = opening.open(asked).getTokenSync(wanted);
            return new Found(token.getToken(), token.getExpiresAt().toInstant());
        });
    }

    private static TokenCredential anyCredential(JsonNode asked) {
        DefaultAzureCredentialBuilder builder = new DefaultAzureCredentialBuilder();
        return (asked.get("option").asBoolean() ? builder.disableInstanceDiscovery() : builder).build();
    }

    private static TokenCredential workload(JsonNode asked) {
        WorkloadIdentityCredentialBuilder builder = new WorkloadIdentityCredentialBuilder();
        return (asked.get("option").asBoolean() ? builder.disableInstanceDiscovery() : builder).build();
    }

    private static TokenCredential secret(JsonNode asked) {
        ClientSecretCredentialBuilder builder = new ClientSecretCredentialBuilder()
            .tenantId(text(asked, "tenant")).clientId(text(asked, "client_id")).clientSecret(text(asked, "client_secret"))
            .authorityHost(text(asked, "authority_host"));
        return (asked.get("option").asBoolean() ? builder.disableInstanceDiscovery() : builder).build();
    }

    private static Found msalSecret(JsonNode asked) throws Exception {
        ConfidentialClientApplication application = ConfidentialClientApplication
            .builder(text(asked, "client_id"), ClientCredentialFactory.createFromSecret(text(asked, "client_secret")))
            .authority(text(asked, "authority"))
            .instanceDiscovery(!asked.get("option").asBoolean())
            .build();
        return found(application.acquireToken(ClientCredentialParameters.builder(Set.of(text(asked, "scope"))).build()).get());
    }

    private static Found msalManagedIdentity(JsonNode asked) throws Exception {
        ManagedIdentityApplication application =
            ManagedIdentityApplication.builder(ManagedIdentityId.systemAssigned()).build();
        ManagedIdentityParameters wanted = ManagedIdentityParameters.builder(text(asked, "resource")).build();
        return found(application.acquireTokenForManagedIdentity(wanted).get());
    }

    private static Found found(IAuthenticationResult result) {
        return new Found(result.accessToken(), result.expiresOnDate().toInstant());
    }

    private static Found spring(JsonNode asked) {
        ClientRegistration registration = ClientRegistration.withRegistrationId("unsecret")
            .clientId(text(asked, "client_id")).clientSecret(text(asked, "client_secret"))
            .authorizationGrantType(AuthorizationGrantType.CLIENT_CREDENTIALS)
            .scope(text(asked, "scope")).tokenUri(text(asked, "token_url"))
            .build();
        OAuth2AccessToken token = new RestClientClientCredentialsTokenResponseClient()
            .getTokenResponse(new OAuth2ClientCredentialsGrantRequest(registration)).getAccessToken();
        return new Found(token.getTokenValue(), token.getExpiresAt());
    }

    private static Found kafka(JsonNode asked) throws Exception {
        // Kafka asks no URL that this does not name.
        System.setProperty("org.apache.kafka.sasl.oauthbearer.allowed.urls", text(asked, "token_url"));
        ConfigDef known = new ConfigDef();
        SaslConfigs.addClientSaslSupport(known);
        Map<String, ?> settings = known.parse(Map.of("sasl.oauthbearer.token.endpoint.url", text(asked, "token_url")));
        AppConfigurationEntry entry = new AppConfigurationEntry("org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule",
            AppConfigurationEntry.LoginModuleControlFlag.REQUIRED,
            Map.of("clientId", text(asked, "client_id"), "clientSecret", text(asked, "client_secret"), "scope", text(asked, "scope")));
        OAuthBearerLoginCallbackHandler handler = new OAuthBearerLoginCallbackHandler();
        handler.configure(settings, "OAUTHBEARER", List.of(entry));
        OAuthBearerTokenCallback wanted = new OAuthBearerTokenCallback();
        handler.handle(new Callback[] {wanted});
        handler.close();
        if (wanted.token() == null) {
            throw new IllegalStateException(wanted.errorCode() + ": " + wanted.errorDescription());
        }
        return new Found(wanted.token().value(), Instant.ofEpochMilli(wanted.token().lifetimeMs()));
    }
}
