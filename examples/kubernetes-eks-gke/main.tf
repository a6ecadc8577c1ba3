# One application registration that pods of EKS and GKE clusters use, and nothing secret in it.
terraform {
  required_providers {
    azuread = {
      source  = "hashicorp/azuread"
      version = "~> 3.0"
    }
  }
}

variable "clusters" {
  description = "The issuer of each cluster by a name of your choice, exactly as `unsecret doctor` prints it."
  type        = map(string)
  default = {
    eks = "https://oidc.eks.eu-central-1.amazonaws.com/id/0123456789ABCDEF0123456789ABCDEF"
    gke = "https://container.googleapis.com/v1/projects/contoso/locations/europe-west3/clusters/billing"
  }
}

variable "namespace" {
  type    = string
  default = "billing"
}

variable "service_account" {
  type    = string
  default = "billing"
}

resource "azuread_application" "billing" {
  display_name = "billing"
}

resource "azuread_service_principal" "billing" {
  client_id = azuread_application.billing.client_id
}

# Entra takes at most 20 for one application, and compares each of the three values letter by letter.
resource "azuread_application_federated_identity_credential" "billing" {
  for_each       = var.clusters
  application_id = azuread_application.billing.id
  display_name   = "billing-${each.key}"
  issuer         = each.value
  subject        = "system:serviceaccount:${var.namespace}:${var.service_account}"
  audiences      = ["api://AzureADTokenExchange"]
}

output "client_id" {
  description = "For the annotation unsecret.dev/client-id."
  value       = azuread_application.billing.client_id
}
