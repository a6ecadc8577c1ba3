package main

import (
	"context"

	"github.com/Azure/go-autorest/autorest/adal"
	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"
	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/managedidentity"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// What stands below azidentity, what was before it, and the OAuth client of any provider.
var ordinary = map[string]way{
	"microsoft-authentication-library confidential.Client":         msalSecret,
	"microsoft-authentication-library managedidentity.Client":      msalManagedIdentity,
	"go-autorest/adal NewServicePrincipalToken":                    adalSecret,
	"go-autorest/adal NewServicePrincipalTokenFromManagedIdentity": adalManagedIdentity,
	"golang.org/x/oauth2 clientcredentials.Config":                 clientCredentials,
}

func msalSecret(ctx context.Context, asked given) (found, error) {
	secret, err := confidential.NewCredFromSecret(asked.ClientSecret)
	if err != nil {
		return found{}, err
	}
	var options []confidential.Option
	if asked.Option {
		options = append(options, confidential.WithInstanceDiscovery(false))
	}
	client, err := confidential.New(asked.Authority, asked.ClientID, secret, options...)
	if err != nil {
		return found{}, err
	}
	result, err := client.AcquireTokenByCredential(ctx, []string{asked.Scope})
	return found{token: result.AccessToken, expires: result.ExpiresOn}, err
}

func msalManagedIdentity(ctx context.Context, asked given) (found, error) {
	client, err := managedidentity.New(managedidentity.SystemAssigned())
	if err != nil {
		return found{}, err
	}
	result, err := client.AcquireToken(ctx, asked.Resource)
	return found{token: result.AccessToken, expires: result.ExpiresOn}, err
}

func adalSecret(ctx context.Context, asked given) (found, error) {
	config, err := adal.NewOAuthConfig(asked.AuthorityHost, asked.Tenant)
	if err != nil {
		return found{}, err
	}
	token, err := adal.NewServicePrincipalToken(*config, asked.ClientID, asked.ClientSecret, asked.Resource)
	return adalToken(ctx, token, err)
}

func adalManagedIdentity(ctx context.Context, asked given) (found, error) {
	token, err := adal.NewServicePrincipalTokenFromManagedIdentity(asked.Resource, nil)
	return adalToken(ctx, token, err)
}

func adalToken(ctx context.Context, token *adal.ServicePrincipalToken, err error) (found, error) {
	if err != nil {
		return found{}, err
	}
	if err := token.RefreshWithContext(ctx); err != nil {
		return found{}, err
	}
	got := token.Token()
	return found{token: got.AccessToken, expires: got.Expires()}, nil
}

func clientCredentials(ctx context.Context, asked given) (found, error) {
	config := clientcredentials.Config{
		ClientID: asked.ClientID, ClientSecret: asked.ClientSecret, TokenURL: asked.TokenURL, Scopes: []string{asked.Scope},
		AuthStyle: oauth2.AuthStyleAutoDetect,
	}
	token, err := config.Token(ctx)
	if err != nil {
		return found{}, err
	}
	return found{token: token.AccessToken, expires: token.Expiry}, nil
}
